"""An import error names the missing package and the extra that installs it."""

import sys

import numpy as np
import pytest

import keras_isd
from tests.support import golden

FEATURES, LABELS = np.random.RandomState(0).randn(12, 3), np.arange(12) % 2
IMAGES = np.zeros((12, 8, 8, 3), "uint8")


pytestmark = pytest.mark.one_backend("imports are the same under any backend")


@pytest.mark.parametrize(
    ("package", "extra", "call"),
    [
        ("matplotlib.figure", "plots", lambda: keras_isd.visualization.plot_history({"loss": [1]})),
        ("sklearn.manifold", "plots", lambda: keras_isd.visualization.plot_embedding(FEATURES)),
        (
            "sklearn.cluster",
            "explore",
            lambda: keras_isd.visualization.plot_clusters(IMAGES, FEATURES),
        ),
        (
            "bokeh.embed",
            "plots",
            lambda: keras_isd.exploration.write_explorer(None, FEATURES, IMAGES, method="pca"),
        ),
        (
            "sklearn.linear_model",
            "evaluation",
            lambda: keras_isd.evaluation.logistic_regression(FEATURES, LABELS, FEATURES, LABELS),
        ),
        ("torch", "torch", lambda: keras_isd.interop.load_torch_checkpoint("x.pth")),
    ],
)
def test_the_error_names_the_extra(package, extra, call, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(ImportError, match=rf'pip install "keras-isd\[{extra}\]"'):
        call()


def test_the_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="needs the package torch, which is not installed"):
        keras_isd.interop.save_torch_checkpoint(golden.golden_model("byol"), "x.pth")
