"""Makes quickstart.ipynb from quickstart.py: a cell for each `# %%`, except those tagged "script".

python examples/make_notebook.py
"""

import pathlib
import re

import nbclient
import nbformat

FOLDER = pathlib.Path(__file__).parent


def cells(script):
    """Pairs of a cell's type and source."""
    for header, body in re.findall(r"(?ms)^# %%([^\n]*)\n(.*?)(?=^# %%|\Z)", script):
        if "markdown" in header:
            yield "markdown", re.sub(r"(?m)^# ?", "", body).strip()
        elif "script" not in header:
            yield "code", body.strip()


def main():
    notebook = nbformat.v4.new_notebook()
    found = cells((FOLDER / "quickstart.py").read_text(encoding="utf-8"))
    for number, (kind, source) in enumerate(found):
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        notebook.cells.append(make(source, id=f"cell-{number}"))
    # With coalesced streams each cell has one output instead of one for each printed line.
    nbclient.NotebookClient(notebook, kernel_name="python3", coalesce_streams=True).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of the run
    nbformat.write(notebook, FOLDER / "quickstart.ipynb")


if __name__ == "__main__":
    main()
