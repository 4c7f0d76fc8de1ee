"""The README says what is so."""

import re

import pytest

import keras_isd
from tests.processes import ROOT

README = (ROOT / "README.md").read_text()


def test_every_python_block_runs(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="the README's views are made by TensorFlow")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:  # one goes on where the last stopped
        exec(compile(block, "README.md", "exec"), names)
    assert names["features"].shape == (128, 512)
    assert names["model"].two_views is not None
    assert (tmp_path / "isd.keras").is_file()


def test_table_of_recipes_is_that_of_the_code():
    for name, recipe in keras_isd.recipes.RECIPES.items():
        if recipe.method != "ISDModel":
            assert name in README
            continue
        row = re.search(rf"^\| `{name}` \|(.*)\|$", README, re.MULTILINE).group(1)
        _, _, temperatures, momentum, _ = (cell.strip() for cell in row.split("|"))
        model = recipe.model
        expected = f"{model['teacher_temperature']}, {model['student_temperature']}"
        assert (temperatures, momentum) == (expected, str(model["teacher_momentum"]))
