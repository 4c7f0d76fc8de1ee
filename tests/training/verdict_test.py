"""The first lines of a report: each verdict follows from a test."""

import types

import numpy as np
import pytest

from keras_isd.training.report import group_effects
from keras_isd.training.verdict import verdict

pytestmark = pytest.mark.one_backend("the verdict depends only on numbers")


def hits(count=200, **shares):
    """The first images are right, as many as the share gives."""
    return {name: np.arange(count) < share * count for name, share in shares.items()}


def test_a_network_that_beats_every_baseline_has_learned():
    found = hits(pixels=0.3, gradients=0.5, untrained=0.4, student=0.7)
    lines = verdict({"collapsed": [1.0, 0.0]}, found, "labels")
    assert lines[0].startswith("The network has learned")
    assert "student 70.0% [63.3%, 75.9%]" in lines[1]
    assert "200 images" in lines[1]


def test_a_network_that_loses_to_a_baseline_is_named_worse_first():
    found = hits(pixels=0.3, gradients=0.5, untrained=0.2, student=0.4)
    assert verdict({}, found, "labels")[0].startswith("The features are worse than gradients")


def test_simple_features_that_find_more_views_are_named_first():
    found = hits(pixels=0.3, gradients=0.5, untrained=0.2, student=0.4)
    line = verdict({}, found, "views")[0]
    assert line.startswith("Simple features find more views than the network: gradients 50.0%")
    assert "the network 40.0%" in line
    assert "has learned" not in line
    few = hits(10, pixels=0.1, gradients=0.5, untrained=0.1, student=0.4)
    assert "Simple features" not in verdict({}, few, "views")[0]


def test_a_small_difference_is_no_difference():
    found = hits(pixels=0.2, untrained=0.40, student=0.42)
    found["student"] = np.roll(found["student"], 40)  # 44 right and 40 wrong ones differ
    line = verdict({}, found, "views")[0]
    assert line.startswith("This test finds no difference between the features and an untrained")
    assert "--teacher" in line


def test_collapse_and_images_that_are_too_easy_come_first():
    found = hits(pixels=0.2, untrained=0.95, student=1.0)
    assert verdict({"collapsed": [0.0, 1.0]}, found, "views")[0].startswith("The run has collapsed")
    assert "too easy" in verdict({}, found, "views")[0]
    assert verdict({}, None, "views") == []


def test_a_batch_effect_is_the_first_line_and_names_the_remedy():
    effects = [
        ("folder (A01, ...)", {"same": 0.2, "chance": 0.1, "excess": 0.11}),
        ("folder (plate1, plate2)", {"same": 1.0, "chance": 0.5, "excess": 1.0}),
    ]
    found = hits(pixels=0.3, untrained=0.4, student=0.7)
    lines = verdict({}, found, "views", effects=effects)
    assert lines[0].startswith("Batch effect: 100% of the 10 nearest images are of the same folder")
    assert "--normalize=background" in lines[0]
    assert "A01" not in " ".join(lines)
    line = verdict({}, found, "views", effects=effects, normalize="background")[0]
    assert "--normalize" not in line  # it was
    assert "keras-isd embed --correct" in line
    assert len(verdict({}, None, "views", effects=effects)) == 1


def test_groups_and_levels_of_folders_are_measured_but_not_those_that_are_classes():
    random = np.random.RandomState(0)
    wells = np.arange(80) % 4
    names = [f"d/{'cat' if n < 40 else 'dog'}/w{wells[n]}/{n}.png" for n in range(80)]
    features = np.eye(4)[wells] + 0.01 * random.randn(80, 4)
    files = types.SimpleNamespace(names=names, labels=None, groups=None)
    found = dict(group_effects(files, features))
    assert list(found) == ["folder (cat, dog)", "folder (w0, w1, ...)"]
    assert found["folder (w0, w1, ...)"]["excess"] == 1.0
    assert found["folder (cat, dog)"]["excess"] < 0.2
    files.labels = np.arange(80) // 40
    assert [name for name, _ in group_effects(files, features)] == ["folder (w0, w1, ...)"]
    files.groups = wells
    assert [name for name, _ in group_effects(files, features)] == ["group"]
    files.groups = files.labels
    assert group_effects(files, features) == []
