"""Files of the index of an approximate search: written once, and never of other features."""

import numpy as np
import pytest

from keras_isd import evaluation
from keras_isd.command.main import main
from keras_isd.exploration import find_neighbors
from keras_isd.similarity import approximate

pytest.importorskip("faiss", reason="the extra [faiss]")
pytestmark = pytest.mark.one_backend("faiss searches")
RANDOM = np.random.RandomState(0)
FEATURES = RANDOM.randn(500, 16).astype("float32")


def forbid_building(monkeypatch):
    def build(unit):
        raise AssertionError("the index was built")

    monkeypatch.setattr(approximate, "_build_index", build)


def test_an_index_is_built_once_and_finds_the_same_rows(tmp_path, monkeypatch):
    file = tmp_path / "inner" / "features.faiss"
    expected = find_neighbors(FEATURES, FEATURES[:9], 5, approximate=True)
    first = find_neighbors(FEATURES, FEATURES[:9], 5, approximate=True, index=file)
    forbid_building(monkeypatch)
    second = find_neighbors(FEATURES, FEATURES[:9], 5, approximate=True, index=file)
    for found in (first, second):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("change", ["value", "rows", "width", "order"])
def test_an_index_of_other_features_is_built_anew(change, tmp_path, caplog):
    file, other = tmp_path / "features.faiss", FEATURES.copy()
    if change == "value":
        other[333, 7] += 1
    other = {"rows": other[:-1], "width": other[:, :-1], "order": other[::-1]}.get(change, other)
    find_neighbors(FEATURES, FEATURES[:3], 5, approximate=True, index=file)
    queries = other[:3]
    rows, _ = find_neighbors(other, queries, 5, approximate=True, index=file)
    assert "is built anew" in caplog.text
    expected = find_neighbors(other, queries, 5, approximate=True)[0]
    np.testing.assert_array_equal(rows, expected)


def test_an_index_needs_an_approximate_search_of_all_features(tmp_path):
    for options in ({}, {"approximate": True, "exclude_groups": np.arange(500) % 2}):
        with pytest.raises(ValueError, match=r"`index` must be given with `approximate`"):
            find_neighbors(FEATURES, k=2, index=tmp_path / "a.faiss", **options)


def test_the_command_keeps_an_index(tmp_path, monkeypatch):
    names = [f"{number}.png" for number in range(500)]
    table, index = tmp_path / "f.npz", tmp_path / "f.faiss"
    evaluation.save_features(table, evaluation.Features(FEATURES, None, np.arange(500), names))
    command = ["neighbors", str(table), "--k=3", f"--index={index}", f"--output={tmp_path}/n.csv"]
    assert not main(command)
    assert index.is_file()
    forbid_building(monkeypatch)
    whole = (tmp_path / "n.csv").read_text().splitlines()
    assert not main([*command, "--query=499.png"])
    lines = (tmp_path / "n.csv").read_text().splitlines()
    assert lines[1:] == [line for line in whole if line.split(",")[0].endswith("499.png")]
    assert main([*command, "--other_groups=a*"]) == 2
