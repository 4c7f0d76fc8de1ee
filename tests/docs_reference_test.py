"""Every public name is in the API reference, with its documentation."""

import html
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_isd

pytestmark = pytest.mark.one_backend("the docs are the same under any backend")


def public_modules():
    """The package and its modules with an `__all__`, except for `backend`, which is internal."""
    names = [module.name for module in pkgutil.iter_modules(keras_isd.__path__)]
    found = [importlib.import_module(f"keras_isd.{name}") for name in names if name != "backend"]
    return [keras_isd, *(module for module in found if hasattr(module, "__all__"))]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """The output of the build, and the HTML of the reference pages and of the guides by name."""
    pytest.importorskip("mkdocs", reason="mkdocs builds the docs")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings builds the reference")
    site = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    pages = {path.parent.name: path.read_text() for path in site.glob("reference/**/*.html")}
    guides = {path.parent.name: path.read_text() for path in site.glob("*/index.html")}
    return printed, pages, guides


def public_names():
    """Dict of the public objects by full name."""
    return {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in public_modules()
        for name in module.__all__
    }


def section(page, name):
    """The HTML of the documentation of a name, up to the next name in its page."""
    begin = page.index(f'<h2 id="{name}"')
    end = page.find("<h2", begin + 1)
    return page[begin:] if end < 0 else page[begin:end]


def text(page):
    """The visible text of HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def test_the_docs_build_without_warnings(build):
    printed, _, _ = build
    assert "Documentation built" in printed
    assert not re.findall(r"(?im)^.*\b(?:warning|error)\b.*$", printed)


def test_code_is_coloured_and_no_page_needs_the_network(build):
    _, pages, guides = build
    assert '<div class="codehilite"><pre>' in guides["data"]
    assert '<span class="kn">import</span>' in guides["data"]
    assert 'href="../code.css"' in guides["data"]
    for page in [*pages.values(), *guides.values()]:
        loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"([^\"]*)\"", page)
        assert not [address for address in loaded if address.startswith(("http", "//"))]


def test_every_public_name_is_in_the_reference(build):
    _, pages, _ = build
    places = re.findall(r'\bid="(keras_isd[^"]*)"', "\n".join(pages.values()))
    assert {"keras_isd.ISDModel", "keras_isd.models.ValidatedModel"} < public_names().keys()
    assert not sorted(public_names().keys() - set(places))
    assert len(places) == len(set(places))


def test_the_reference_shows_the_docstrings_of_classes_and_functions(build):
    _, pages, _ = build
    site = "\n".join(pages.values())
    first_lines = {
        name: value.__doc__.split("\n")[0].replace("`", "")
        for name, value in public_names().items()
        if hasattr(value, "__qualname__") and f'<h2 id="{name}"' in site
    }
    assert {"keras_isd.ISDModel", "keras_isd.data.two_view_dataset"} < first_lines.keys()
    assert not [name for name, line in first_lines.items() if line not in text(section(site, name))]


@pytest.mark.parametrize(
    ("page", "name", "parameter", "kind"),
    [
        ("models", "keras_isd.ISDModel", "queue_size", "int >= 1"),
        ("models", "keras_isd.ISDModel", "teacher_momentum", "float in [0, 1]"),
        ("models", "keras_isd.MomentumModel", "key_augmenter", "keras_isd.augmentation.Augmenter"),
        ("layers", "keras_isd.MemoryQueue", "storage_dtype", '"float32", or "bfloat16"'),
        ("optimizers", "keras_isd.optimizers.SGD", "learning_rate", "float, or a schedule"),
        ("losses", "keras_isd.losses.contrastive", "query", "(B, D)"),
    ],
)
def test_parameters_have_the_types_that_their_descriptions_begin_with(
    build, page, name, parameter, kind
):
    _, pages, _ = build
    row = re.search(
        rf"<code>{parameter}</code>\s*</td>\s*<td>\s*<code>(.*?)</code>",
        section(pages[page], name),
        re.DOTALL,
    )
    assert text(row[1]) == kind


def test_a_description_without_a_type_is_shown_in_full(build):
    _, pages, _ = build
    views = section(pages["visualization"], "keras_isd.visualization.plot_views")
    assert re.search(r"<code>path</code>\s*</td>\s*<td>\s*</td>", views)
    assert "<p>where to save the figure, or None. Defaults to None.</p>" in views


def test_examples_are_shown_as_code(build):
    _, pages, _ = build
    warm_up = section(pages["optimizers"], "keras_isd.optimizers.WarmUp")
    coloured = re.search(r'<div class="codehilite"><pre>(.*?)</pre>', warm_up, re.DOTALL)
    assert text(coloured[1]).startswith(">>> steps = ")
    assert not any("<blockquote>" in page for page in pages.values())
