"""Groups of images: from folders, from a table, in subsets, and excluded from neighbours."""

import numpy as np
import pytest
from PIL import Image

from keras_isd import data, evaluation, exploration
from keras_isd.data.groups import folder_levels, path_groups

pytestmark = pytest.mark.one_backend("paths and NumPy; the search is tested on each backend")
NAMES = [
    f"root/plate{plate}/{well}/{number}.tif"
    for plate in (1, 2)
    for well in ("A01", "B02", "C03")
    for number in range(4)
]


def test_a_level_or_a_pattern_names_the_group():
    for group in (0, -2, "plate*", "*late?"):
        numbers, names = path_groups(NAMES, group)
        assert names == ["plate1", "plate2"]
        assert numbers.tolist() == [0] * 12 + [1] * 12
    assert path_groups(NAMES, -1)[1] == path_groups(NAMES, 1)[1] == ["A01", "B02", "C03"]


@pytest.mark.parametrize(("group", "text"), [("slide*", "slide"), (2, "level 2"), (-3, "level -3")])
def test_a_file_without_such_a_folder_is_named(group, text):
    with pytest.raises(ValueError, match=f"`group`.*{NAMES[0]}.*{text}"):
        path_groups(NAMES, group)


def test_levels_have_several_folders_with_several_images():
    assert {level: names for level, (_, names) in folder_levels(NAMES).items()} == {
        0: ["plate1", "plate2"],
        1: ["A01", "B02", "C03"],
    }
    assert folder_levels([f"root/{n}/1.tif" for n in range(9)]) == {}
    assert folder_levels(["root/1.tif", "root/a/2.tif"]) == {}


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        path = tmp_path / name.replace(".tif", ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)
    return tmp_path


def test_groups_stay_with_their_images_in_subsets_and_copies(folder, tmp_path):
    source = data.from_folder(folder, group="plate*", labels=None)
    assert source.group_names == ["plate1", "plate2"]
    part = source.subset([23, 0, 12]).subset([1, 2])
    assert part.groups.tolist() == [0, 1]
    assert part.cache().groups.tolist() == [0, 1]
    assert part.resized(4, tmp_path / "copies", verbose=0).groups.tolist() == [0, 1]
    regrouped = part.with_groups(["day 2", "day 1"])
    assert (regrouped.groups.tolist(), regrouped.group_names) == ([1, 0], ["day 1", "day 2"])
    with pytest.raises(ValueError, match="3 groups, 2 images"):
        part.with_groups([0, 1, 1])


def test_groups_come_from_a_column(folder):
    rows = ["path,label,patient", *(f"{n.replace('.tif', '.png')},x,p{i % 3}" for i, n in
                                    enumerate(NAMES))]  # fmt: skip
    (folder / "table.csv").write_text("\n".join(rows))
    source = data.from_csv(folder / "table.csv", group="patient")
    assert source.group_names == ["p0", "p1", "p2"]
    assert source.groups.tolist() == [0, 1, 2] * 8
    with pytest.raises(ValueError, match=r"`group`.*\['plate'\]"):
        data.from_csv(folder / "table.csv", group="plate")


def clouds(shift, seed=0):
    """Three kinds in two groups of unequal size; a group is shifted."""
    random = np.random.RandomState(seed)
    kinds, groups = np.arange(300) % 3, (np.arange(300) % 5 < 2).astype(int)
    features = 5 * np.eye(6)[kinds] + 0.3 * random.randn(300, 6)
    features[groups == 1, 3:] += shift
    return features, kinds, groups


def test_neighbours_of_other_groups_equal_a_search_by_hand():
    features, _, groups = clouds(4)
    rows, similarities = exploration.find_neighbors(features, k=5, exclude_groups=groups)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosine = np.where(groups[:, None] == groups, -2, unit @ unit.T)
    np.testing.assert_array_equal(np.sort(rows), np.sort(np.argsort(-cosine, axis=1)[:, :5]))
    np.testing.assert_allclose(similarities, -np.sort(-cosine, axis=1)[:, :5], atol=1e-5)


def test_too_few_images_of_other_groups_are_an_error():
    features, _, groups = clouds(0)
    with pytest.raises(ValueError, match=r"`k` must be at most 120.*k=150"):
        exploration.find_neighbors(features, k=150, exclude_groups=groups)
    with pytest.raises(ValueError, match=r"`exclude_groups`.*3 groups, 300 images"):
        exploration.find_neighbors(features, k=1, exclude_groups=[0, 1, 2])


def test_a_shifted_group_is_measured_and_its_shift_removed():
    features, kinds, groups = clouds(6)
    effect = evaluation.group_effect(features, groups)
    # The larger group has 179 of the 299 other images, and the smaller one 119.
    assert effect["chance"] == pytest.approx((180 * 179 + 120 * 119) / 300 / 299)
    assert effect["same"] == 1.0
    assert effect["excess"] == 1.0
    for controls in (None, kinds == 0):
        corrected = evaluation.spherize(features, groups, controls)
        after = evaluation.group_effect(corrected, groups)
        assert after["excess"] < 0.25
        rows, _ = exploration.find_neighbors(corrected, k=1, exclude_groups=groups)
        assert (kinds[rows[:, 0]] == kinds).mean() > 0.95


def test_a_correction_whitens_the_controls():
    features, kinds, groups = clouds(6)
    controls = kinds != 1
    found = evaluation.spherize(features, groups, controls, regularization=1e-9)[controls]
    centred = [found[groups[controls] == group].mean(axis=0) for group in (0, 1)]
    np.testing.assert_allclose(centred, 0, atol=1e-3)
    values = np.linalg.eigvalsh(found.T @ found / len(found))
    assert values[1:] == pytest.approx(1, abs=0.05)  # unit vectors may leave a direction empty


def test_a_group_without_controls_is_an_error():
    features, _, groups = clouds(0)
    with pytest.raises(ValueError, match=r"`controls`.*in each group"):
        evaluation.spherize(features, groups, controls=groups == 0)
    with pytest.raises(ValueError, match="1 different"):
        evaluation.group_effect(features, np.zeros(300))
