"""The layout of the package: folders import only lower folders, and each file has one subject.

The tests check the rules of CONTRIBUTING against the code.
"""

import ast
import graphlib
import importlib
import inspect
import pathlib
import re
import tomllib

import pytest

import keras_isd

PACKAGE = pathlib.Path(keras_isd.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# From top to bottom: each folder imports only folders below it.
FOLDERS = (
    "command",
    "training",
    "interop",
    "exploration",
    "visualization",
    "callbacks",
    "evaluation",
    "similarity",
    "data",
    "baselines",
    "models",
    "optimizers",
    "recipes",
    "heads",
    "backbones",
    "losses",
    "layers",
    "augmentation",
    "backend",
    "validation",
    "files",
    "compat",
    "version",
)

pytestmark = pytest.mark.one_backend("files are the same under any backend")


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def imports(path):
    """Modules of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in MODULES else node.module


def folder_of(module):
    return module.split(".")[1] if "." in module else None


def test_every_folder_is_in_the_order():
    assert {folder_of(module) for module in MODULES} - {None} == set(FOLDERS)


def test_no_folder_imports_a_higher_one():
    wrong = [
        (module, other)
        for module, path in MODULES.items()
        if module != "keras_isd"
        for other in imports(path)
        if other != "keras_isd"
        and FOLDERS.index(folder_of(other)) < FOLDERS.index(folder_of(module))
    ]
    assert wrong == []


def test_imports_by_a_string_are_known():
    """The other tests do not see these: two of them import a higher folder, for names of 0.1.0."""
    found = {
        (module, name)
        for module, path in MODULES.items()
        for name in re.findall(r'"(keras_isd\.[a-z_.]+)"', path.read_text())
        if name in MODULES and name != module
    }
    assert found == {
        ("keras_isd.data", "keras_isd.data.tf_data.datasets"),
        ("keras_isd.data", "keras_isd.callbacks"),
        ("keras_isd.visualization", "keras_isd.exploration.clusters"),
    }


def test_only_the_command_line_imports_the_whole_package():
    """Its parsers are built before the package is imported, see `keras_isd_start`."""
    importers = {module for module, path in MODULES.items() if "keras_isd" in imports(path)}
    assert {folder_of(module) for module in importers - {"keras_isd"}} == {"command"}


def test_no_import_is_circular():
    graph = {module: set(imports(path)) - {module, "keras_isd"} for module, path in MODULES.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


def test_no_module_has_the_name_of_an_exported_function():
    for module in MODULES:
        package, _, name = module.rpartition(".")
        if package:
            found = getattr(importlib.import_module(package), name, None)
            assert not inspect.isroutine(found), module


def test_models_form_one_chain_of_inheritance():
    line = keras_isd.ISDModel.__mro__[:5]
    names = ["ISDModel", "QueueModel", "MomentumModel", "ValidatedModel", "Model"]
    assert [cls.__name__ for cls in line] == names
    assert all(len(cls.__bases__) == 1 for cls in line[:4])
    steps = [m for m, p in MODULES.items() if "def train_step" in p.read_text()]
    assert steps == ["keras_isd.models.momentum_model"]


@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch"])
def test_each_backend_defines_every_documented_name(name):
    def defined(path):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                yield node.name
            elif isinstance(node, ast.ImportFrom):
                yield from (alias.asname for alias in node.names)
            elif isinstance(node, ast.Assign):
                yield from (target.id for target in node.targets)

    found = {*defined(PACKAGE / f"backend/{name}.py"), *defined(PACKAGE / "backend/common.py")}
    assert set(keras_isd.backend.__all__) <= found
    for documented in keras_isd.backend.__all__:
        assert f"- `{documented}" in keras_isd.backend.__doc__


def test_private_attributes_of_other_objects_are_read_in_two_files():
    """A class itself reads those of its base class, through `self` or `super()`."""
    private = ("_flatten_layers", "_iterations", "_value", "_loss_tracker", "_trainable_variables")
    found = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in private
    }
    assert found == {"keras_isd.compat.keras_internals", "keras_isd.backend.jax"}


def test_the_wheel_has_the_files_that_are_not_python():
    setup = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]
    for module, patterns in setup["package-data"].items():
        for pattern in patterns:
            assert [*MODULES[module].parent.glob(pattern)], (module, pattern)
    others = {p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert {p.name for p in others} == {"py.typed", "explorer.css", "explorer.js"}
