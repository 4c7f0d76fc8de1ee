"""The notebook has the cells of quickstart.py, and runs from its first cell to its last."""

import runpy

import nbclient
import nbformat
import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.one_backend("its steps are those of quickstart.py")


@pytest.fixture
def notebook():
    notebook = nbformat.read(ROOT / "examples/quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_the_notebook_is_made_from_the_quickstart(notebook):
    cells = runpy.run_path(str(ROOT / "examples/make_notebook.py"))["cells"]
    expected = list(cells((ROOT / "examples/quickstart.py").read_text(encoding="utf-8")))
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == expected


@pytest.mark.slow
def test_the_notebook_runs(notebook):
    [setting] = [cell for cell in notebook.cells if "EPOCHS, SEED, FIGURE = 120" in cell.source]
    setting.source = setting.source.replace("= 120", "= 1")
    place = {"metadata": {"path": ROOT / "examples"}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [o.text for o in outputs if o.get("name") == "stderr"] == []
    printed = "".join(o.text for o in outputs if o.get("name") == "stdout")
    rows = printed[printed.index("features ") :].strip().splitlines()
    assert [row[:20].strip() for row in rows[1:]] == [
        "pixels", "untrained network", "trained student", "trained teacher",
    ]  # fmt: skip
