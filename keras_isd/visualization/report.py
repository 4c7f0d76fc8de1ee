"""HTML pages of tables and figures, each in one file."""

import base64
import html
import io

from keras_isd.files import write_text


def write_report(path, title, facts, tables, figures):
    """Writes an HTML page of tables and figures, which any browser opens offline.

    Pictures are embedded; the page has no script.

    Args:
        path: where to write.
        title: str, title of the page.
        facts: dict from names to values, such as model, data and seed.
        tables: dict from headings to lists of rows, the first with column titles. Floats have three
            digits.
        figures: dict from headings to `matplotlib.figure.Figure`s.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "report.html"
    >>> tables = {"k-NN": [["", "top-1"], ["student", 0.5]]}
    >>> keras_isd.visualization.write_report(path, "Digits", {"seed": 0}, tables, {})
    >>> "<td>0.500</td>" in path.read_text()
    True
    """
    parts = [f"<h1>{html.escape(title)}</h1>", fact_list(facts)]
    parts += [table(heading, rows) for heading, rows in tables.items()]
    parts += [picture(heading, figure) for heading, figure in figures.items()]
    write_page(path, title, parts)


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem; text-align: right;
  border-bottom: 1px solid #ddd; } th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; }
dt { font-weight: 600; } dd { margin: 0 0 .4rem 0; overflow-wrap: anywhere; }
"""


def write_page(path, title, parts, styles=(), head=()):
    """Writes a page of HTML parts, with additional styles and elements of the head."""
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',  # otherwise browsers request one
        f"<title>{html.escape(title)}</title>",
        *head,
        *(f"<style>{style}</style>" for style in (STYLE, *styles)),
        "</head>\n<body>",
        *parts,
        "</body>\n</html>\n",
    ]
    write_text(path, "\n".join(lines))


def fact_list(facts):
    """HTML of a list of facts."""
    lines = (f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts.items())
    return "\n".join(["<dl>", *lines, "</dl>"])


def table(heading, rows):
    """HTML of a heading and a table, whose first row has the column titles."""
    titles, *rest = rows
    lines = [_row("th", titles), *(_row("td", row) for row in rest)]
    return "\n".join(
        [f"<h2>{text(heading)}</h2>", '<div class="wide"><table>', *lines, "</table></div>"]
    )


def picture(heading, figure):
    """HTML of a heading and an embedded `matplotlib.figure.Figure`."""
    contents = io.BytesIO()
    figure.savefig(contents, format="png", dpi=150)
    encoded = base64.b64encode(contents.getvalue()).decode()
    image = f'<img alt="{text(heading)}" src="data:image/png;base64,{encoded}">'
    # On a narrow screen a wide figure scrolls instead of shrinking.
    width = min(48.0, 3.75 * figure.get_figwidth())
    place = f'<div class="wide"><div style="min-width:{width:.1f}rem">{image}</div></div>'
    return f"<h2>{text(heading)}</h2>\n{place}"


def text(value):
    """A value as escaped HTML text, floats with three digits."""
    return html.escape(f"{value:.3f}" if isinstance(value, float) else str(value))


def _row(tag, cells):
    return "<tr>" + "".join(f"<{tag}>{text(cell)}</{tag}>" for cell in cells) + "</tr>"
