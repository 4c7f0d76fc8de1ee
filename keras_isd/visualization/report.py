"""Tables and figures on one page that needs nothing else."""

import base64
import html
import io
import pathlib

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem; text-align: right;
  border-bottom: 1px solid #ddd; } th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; } dt { font-weight: 600; } dd { margin: 0 0 .4rem 0; }
"""


def write_report(path, title, facts, tables, figures):
    """Writes an HTML page of tables and figures that opens in any browser, without a network.

    Pictures are in the page itself; there is no script.

    Args:
        path: where to write.
        title: str.
        facts: dict of str to values, what the page is about: model, data, seed.
        tables: dict from a heading to a list of rows, the first of column titles. Floats are
            written with three digits.
        figures: dict from a heading to a `matplotlib.figure.Figure`.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "report.html"
    >>> tables = {"k-NN": [["", "top-1"], ["student", 0.5]]}
    >>> keras_isd.visualization.write_report(path, "Digits", {"seed": 0}, tables, {})
    >>> "<td>0.500</td>" in path.read_text()
    True
    """
    parts = [f"<h1>{html.escape(title)}</h1>", "<dl>"]
    parts += [f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.items()]
    parts.append("</dl>")
    for heading, (titles, *rows) in tables.items():
        parts += [f"<h2>{_text(heading)}</h2>", "<table>", _row("th", titles)]
        parts += [*(_row("td", row) for row in rows), "</table>"]
    for heading, figure in figures.items():
        parts += [f"<h2>{_text(heading)}</h2>", _picture(heading, figure)]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<link rel="icon" href="data:,">\n'  # or a browser asks for one
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    )
    pathlib.Path(path).write_text(page + "\n".join(parts) + "\n</body>\n</html>\n", "utf-8")


def _row(tag, cells):
    return "<tr>" + "".join(f"<{tag}>{_text(cell)}</{tag}>" for cell in cells) + "</tr>"


def _text(value):
    return html.escape(f"{value:.3f}" if isinstance(value, float) else str(value))


def _picture(heading, figure):
    contents = io.BytesIO()
    figure.savefig(contents, format="png", dpi=150)
    encoded = base64.b64encode(contents.getvalue()).decode()
    return f'<img alt="{_text(heading)}" src="data:image/png;base64,{encoded}">'
