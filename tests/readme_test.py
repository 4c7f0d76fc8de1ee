"""The README says what is so."""

import re

import pytest

import keras_isd
from tests.support.processes import ROOT

pytestmark = pytest.mark.filterwarnings("error::UserWarning")
README = (ROOT / "README.md").read_text()
METHODS = (ROOT / "docs" / "methods.md").read_text()


GUIDES = sorted((ROOT / "docs").glob("*.md"))


def run_blocks(text, name):
    """Runs the blocks of a page, each of which goes on where the last stopped."""
    names = {"__name__": name}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, name, "exec"), names)
    return names


def test_every_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_blocks(README, "README")
    assert names["features"].shape == (128, 512)
    assert (tmp_path / "isd.keras").is_file()


def test_table_of_recipes_is_that_of_the_code():
    for name, recipe in keras_isd.recipes.RECIPES.items():
        if recipe.method is not keras_isd.ISDModel:
            assert name in METHODS
            continue
        row = re.search(rf"^\| `{name}` \|(.*)\|$", METHODS, re.MULTILINE).group(1)
        _, _, temperatures, momentum, _ = (cell.strip() for cell in row.split("|"))
        model = recipe.model
        expected = f"{model['teacher_temperature']}, {model['student_temperature']}"
        assert (temperatures, momentum) == (expected, str(model["teacher_momentum"]))


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_every_python_block_of_a_guide_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_blocks(path.read_text(), path.stem)


def test_links_lead_somewhere():
    for page in (ROOT / "README.md", *GUIDES):
        links = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text())
        assert [link for link in links if not (page.parent / link).is_file()] == [], page
