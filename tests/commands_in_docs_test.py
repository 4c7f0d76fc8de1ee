"""The commands in README and docs name programs, subcommands and flags that exist."""

import argparse
import ast
import re
import runpy

import pytest

from keras_isd.command.main import make_parser
from tests.support.processes import ROOT

pytestmark = pytest.mark.one_backend("compares strings")
FOLDERS = ("examples", "experiments", "benchmarks")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROGRAM = re.compile(rf"python (({'|'.join(FOLDERS)})/[a-z_]+\.py)([^;&|#]*)")
SUBCOMMAND = re.compile(r"keras-isd ([a-z]+)([^;&|#]*)")


def code_of(text):
    """Lines of the fenced blocks of a page, with continued lines joined, and its inline code."""
    blocks = re.findall(r"(?ms)^ *```[^\n]*\n(.*?)^ *```", text)
    for block in blocks:
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    without_blocks = re.sub(r"(?ms)^ *```.*?^ *```", "", text)
    for span in re.findall(r"`([^`]+)`", without_blocks):
        yield " ".join(span.split())


def commands(pattern):
    """Page, program or subcommand, and arguments of each command."""
    for page in PAGES:
        for line in code_of(page.read_text(encoding="utf-8")):
            for found in pattern.finditer(line):
                yield page.relative_to(ROOT).as_posix(), found.group(1), found.groups()[-1]


def flags_of(path):
    """Names of the flags that a program defines itself, and in modules next to it."""
    source = path.read_text(encoding="utf-8")
    flags = {*re.findall(r'DEFINE_\w+\(\s*"(\w+)"|add_argument\(\s*"--(\w+)"', source)}
    names = {name for pair in flags for name in pair if name}
    for node in ast.walk(ast.parse(source)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            files = [ROOT / folder / f"{module}.py" for folder in FOLDERS]
            for file in files:
                if file.is_file() and file.stem != path.stem:
                    names |= flags_of(file)
    return names


def test_programs_and_their_flags_exist():
    found = list(commands(PROGRAM))
    assert len(found) > 20  # the patterns still find commands
    wrong = []
    for page, program, arguments in found:
        path = ROOT / program
        known = flags_of(path) if path.is_file() else set()
        missing = {*re.findall(r"--(\w+)", arguments)} - known
        if missing or not path.is_file():
            wrong.append((page, program, sorted(missing)))
    assert wrong == []


def test_configurations_exist():
    names = runpy.run_path(str(ROOT / "experiments/configurations.py"))["CONFIGURATIONS"]
    found = {
        (page, name)
        for page in PAGES
        for name in re.findall(r"--configuration=(\w+)", page.read_text(encoding="utf-8"))
    }
    assert found
    assert [(page.name, name) for page, name in sorted(found) if name not in names] == []


def test_subcommands_and_their_flags_exist():
    [choices] = [
        action.choices
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    found = list(commands(SUBCOMMAND))
    assert {name for _, name, _ in found} >= {*choices}  # each subcommand is shown
    wrong = []
    for page, name, arguments in found:
        known = choices[name]._option_string_actions if name in choices else {}
        missing = {*re.findall(r"--[\w-]+", arguments)} - {*known}
        if missing or name not in choices:
            wrong.append((page, name, sorted(missing)))
    assert wrong == []
