"""Tables and figures on one page that needs nothing else."""

import html

from keras_isd.visualization.page import fact_list, picture, table, write_page


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
