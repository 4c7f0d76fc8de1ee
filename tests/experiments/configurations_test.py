"""Each recipe file says in its head what to expect, what it costs and how to run it."""

import re

import pytest
from absl import flags

from tests.support.processes import ROOT

FILES = sorted((ROOT / "examples" / "recipes").glob("*.flags"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_head_has_expectation_cost_and_command_and_flags_are_known(path):
    text = path.read_text()
    for title in ("# Expected: ", "# Cost: "):
        assert re.search(f"^{title}\\w", text, re.MULTILINE)
    assert "EXPECT" not in text
    command = re.search(r"^# python (examples/\w+\.py) --flagfile=(\S+)", text, re.MULTILINE)
    assert ROOT / command.group(2) == path
    source = (ROOT / command.group(1)).read_text()
    for module in re.findall(r"^import (\w+)$", source, re.MULTILINE):
        beside = ROOT / "examples" / f"{module}.py"
        source += beside.read_text() if beside.is_file() else ""
    known = re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', source)
    given = flags.FlagValues().read_flags_from_files([f"--flagfile={path}"])
    assert given
    for flag in given:
        name, _, value = flag.removeprefix("--").partition("=")
        assert name in known, flag
        assert value, flag


def test_there_is_one_for_each_method_and_data_set():
    names = {path.stem for path in FILES}
    for method in ("isd", "moco", "byol"):
        for data in ("cifar10", "cifar100", "cifar10_two_large", "cifar10_long_tail"):
            assert f"{method}_{data}" in names
