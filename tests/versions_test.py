"""The oldest tested versions fit pyproject.toml, and workflows pin their actions."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.processes import ROOT

pytestmark = pytest.mark.one_backend("files are the same with any backend")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def bounds():
    """The `SpecifierSet` of each package that the project or an extra requires, by name."""
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    found = {}
    for requirement in map(Requirement, lines):
        bound = found.setdefault(requirement.name, requirement.specifier)
        found[requirement.name] = bound & requirement.specifier
    return found


def pins():
    """The version of each package in `.github/oldest.txt`, by name."""
    lines = (ROOT / ".github" / "oldest.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for requirement in requirements:
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement
    return {r.name: Version(next(iter(r.specifier)).version) for r in requirements}


def lowest(specifier):
    """The lowest version that a `SpecifierSet` allows, or None without a lower bound."""
    lower = [Version(bound.version) for bound in specifier if bound.operator in (">=", "~=", "==")]
    return max(lower, default=None)


@pytest.mark.parametrize(("name", "version"), pins().items())
def test_an_oldest_version_is_the_lowest_that_the_project_allows(name, version):
    bound = bounds()[name]
    assert version in bound
    assert lowest(bound) in (None, version)


def test_every_lower_bound_of_the_base_dependencies_is_tested():
    bounded = {r.name for r in map(Requirement, PROJECT["dependencies"]) if lowest(r.specifier)}
    assert bounded <= pins().keys()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit(path):
    actions = re.findall(r"uses: (.*)", path.read_text())
    assert actions
    wrong = [a for a in actions if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v[\d.]+", a)]
    assert wrong == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_needs_more(path):
    assert "\npermissions:\n  contents: read\n" in path.read_text().split("\njobs:")[0]
