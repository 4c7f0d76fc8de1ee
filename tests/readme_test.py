"""README and guides are correct: their code runs, their tables and links agree with the files."""

import pathlib
import re

import pytest

import keras_isd
from tests.support.processes import ROOT

pytestmark = pytest.mark.filterwarnings("error::UserWarning")
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
METHODS = (ROOT / "docs" / "methods.md").read_text()


GUIDES = sorted((ROOT / "docs").glob("*.md"))
RESULTS = sorted((ROOT / "docs" / "results").glob("*.md"))
PAGES = [*ROOT.glob("*.md"), *GUIDES, *RESULTS]


def run_blocks(text, name):
    """Runs the code blocks of a page in order, in one namespace."""
    names = {"__name__": name}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, name, "exec"), names)
    return names


def test_every_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_blocks(README, "README")
    assert names["features"].shape == (128, 512)
    assert (tmp_path / "isd.keras").is_file()


@pytest.mark.one_backend("recipes are the same with any backend")
def test_table_of_recipes_agrees_with_the_code():
    for name, recipe in keras_isd.recipes.RECIPES.items():
        if recipe.method is not keras_isd.ISDModel:
            assert name in METHODS
            continue
        row = re.search(rf"^\| `{name}` \|(.*)\|$", METHODS, re.MULTILINE).group(1)
        _, _, temperatures, momentum, _ = (cell.strip() for cell in row.split("|"))
        model = recipe.model
        expected = f"{model['teacher_temperature']}, {model['student_temperature']}"
        assert (temperatures, momentum) == (expected, str(model["teacher_momentum"]))


def guides_with_code():
    """The guides; all except one run under TensorFlow only."""
    once = pytest.mark.one_backend("the functions of this guide are tested under each backend")
    for path in GUIDES:
        marks = () if path.stem == "scale" else once
        yield pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", guides_with_code())
def test_every_python_block_of_a_guide_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_blocks(path.read_text(), path.stem)


def anchor(heading):
    """The anchor that Markdown gives a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.one_backend("links are the same with any backend")
def test_links_lead_to_files_and_headings():
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([^)\s]+)\)", page.read_text()):
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            assert target.is_file(), (page, link)
            if heading:
                headings = re.findall(r"(?m)^#+ (.*)$", target.read_text())
                assert heading in map(anchor, headings), (page, link)


@pytest.mark.one_backend("pages are the same with any backend")
@pytest.mark.parametrize("path", [*GUIDES, *RESULTS], ids=lambda path: path.stem)
def test_index_and_navigation_list_every_guide(path):
    name = path.relative_to(ROOT / "docs").as_posix()
    if name != "index.md":
        assert f"({name})" in (ROOT / "docs" / "index.md").read_text()
    assert re.search(rf"(?m)^ +- .*: {re.escape(name)}$", (ROOT / "mkdocs.yml").read_text())


@pytest.mark.one_backend("pages are the same with any backend")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_page_installs_an_unpublished_package(path):
    assert not re.search(r"pip install [^`\n]*keras[-_]isd", path.read_text())


@pytest.mark.one_backend("files are the same with any backend")
def test_layout_table_of_contributing_lists_every_folder_and_module():
    table = CONTRIBUTING.split("| folder or file |")[1].split("\n\n")[0]
    cells = re.findall(r"(?m)^\| (`.*?) \|", table)
    listed = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    package = pathlib.Path(keras_isd.__file__).parent
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert listed == folders | modules
