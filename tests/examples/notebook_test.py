"""The notebook runs from its first cell to its last."""

import nbclient
import nbformat
import pytest

from tests.support.processes import ROOT


@pytest.mark.slow
@pytest.mark.one_backend("its steps are those of quickstart.py")
def test_the_quickstart_as_a_notebook():
    notebook = nbformat.read(ROOT / "examples/quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    [setting] = [cell for cell in notebook.cells if "EPOCHS = 120" in cell.source]
    setting.source = setting.source.replace("EPOCHS = 120", "EPOCHS = 40")
    place = {"metadata": {"path": ROOT / "examples"}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [o.text for o in outputs if o.get("name") == "stderr"] == []
    table = "".join(o.text for o in outputs if o.get("name") == "stdout").strip()
    one_shot = {line[:20].strip(): float(line[20:28]) for line in table.splitlines()[1:]}
    assert one_shot["trained student"] > one_shot["untrained network"] + 0.06
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 3
