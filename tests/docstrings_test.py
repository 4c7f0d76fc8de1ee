"""Every example in a docstring runs and gives the output that it shows."""

import doctest
import importlib
import pkgutil
import sys

import keras
import numpy as np
import pytest

import keras_isd

NEED_TENSORFLOW = ("keras_isd.augmentation.keras_cv_layer", "keras_isd.data.")
# Rooms that compute with NumPy, or with tf.data under every backend.
SAME = ("data", "exploration", "files", "similarity", "validation", "visualization")


def modules():
    once = pytest.mark.one_backend("this room computes the same under any backend")
    for name in [m.name for m in pkgutil.walk_packages(keras_isd.__path__, "keras_isd.")]:
        room = name.split(".")[1]
        if room not in ("backend", "command"):  # one backend's code; subcommands have no examples
            yield pytest.param(name, marks=once if room in SAME else ())


@pytest.mark.slow
@pytest.mark.parametrize("name", list(modules()))
def test_examples_run(name):
    module = importlib.import_module(name)
    names = {"keras": keras, "np": np, "keras_isd": keras_isd, **vars(module)}
    if name.startswith(NEED_TENSORFLOW):
        names["tf"] = sys.modules["tensorflow"]
    finder = doctest.DocTestFinder(exclude_empty=True)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags)
    output = []
    for test in finder.find(module, globs=names):
        runner.run(test, out=output.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(output)


def test_every_public_object_has_an_example():
    finder = doctest.DocTestFinder()
    for name in ("ISDModel", "MomentumModel", "MemoryQueue", "BatchNormalization"):
        tests = finder.find(getattr(keras_isd, name), name, globs={})
        assert any(test.examples for test in tests), name
    for module in ("losses", "heads", "optimizers", "backbones", "baselines", "data", "evaluation"):
        folder = getattr(keras_isd, module)
        names = [n for n in folder.__all__ if n != "Distillation" and callable(getattr(folder, n))]
        for name in names:
            tests = finder.find(getattr(folder, name), name, globs={})
            assert any(test.examples for test in tests), f"{module}.{name}"
