"""Features of the cells of a grid: values, places, and tables of them."""

import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_isd import augmentation, data, evaluation
from keras_isd.backbones import ConvNet, feature_maps

RANDOM = np.random.RandomState(0)


def test_a_cell_is_the_mean_of_its_part_of_the_map():
    backbone = ConvNet((32, 32, 3), (4, 8))
    images = RANDOM.rand(3, 32, 32, 3).astype("float32")
    found = ops.convert_to_numpy(evaluation.grid_model(backbone, 4)(images)).reshape(3, 4, 4, 8)
    (last,) = (x for x in feature_maps(backbone)(images) if x.shape[1] == 16)
    expected = ops.convert_to_numpy(last).reshape(3, 4, 4, 4, 4, 8).mean(axis=(2, 4))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_more_cells_than_places_are_refused():
    with pytest.raises(ValueError, match=r"at most 16.*cells=17"):
        evaluation.grid_model(ConvNet((16, 16, 3), (4, 8)), 17)


@pytest.mark.one_backend("reads files with NumPy")
@pytest.mark.parametrize("fraction", [1.0, 0.8])
def test_names_are_the_places_of_cells_in_the_view(tmp_path, fraction):
    pixels = RANDOM.randint(0, 256, (41, 60, 3)).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    source = data.from_folder(tmp_path)
    view = augmentation.evaluation(32, fraction=fraction)
    names = evaluation.grid_names(source, view, 3)
    cells = data.from_paths(names)
    side = {1.0: 41, 0.8: 33}[fraction]
    top, left = round((41 - side) / 2), round((60 - side) / 2)
    square = pixels[top : top + side, left : left + side]
    for row in range(3):
        joined = np.concatenate([cells[3 * row + column] for column in range(3)], axis=1)
        rows = np.round(np.linspace(0, side, 4)).astype(int)
        np.testing.assert_array_equal(joined, square[rows[row] : rows[row + 1]])


@pytest.mark.one_backend("reads files with NumPy")
@pytest.mark.parametrize("size", [(40, 60), (60, 40), (33, 33), (1, 7)])
@pytest.mark.parametrize("fraction", [1.0, 0.875, 0.5])
def test_the_place_of_a_crop_is_that_of_its_pixels(size, fraction):
    from keras_isd.augmentation import CentralCrop

    crop = CentralCrop(8, fraction)
    top, left, side = crop.place(*size)
    image = RANDOM.randint(0, 256, (*size, 3)).astype("uint8")
    whole = augmentation.Augmenter([crop])(image)
    part = augmentation.Augmenter([CentralCrop(8)])(image[top : top + side, left : left + side])
    whole, part = ops.convert_to_numpy(whole), ops.convert_to_numpy(part)
    np.testing.assert_allclose(whole, part, atol=1e-3)


def test_a_grid_is_embedded_and_its_cells_are_found_again(tmp_path, capsys):
    from keras_isd.command.main import main

    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(6):
        pixels = RANDOM.randint(0, 256, (40, 48, 3)).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n")
    model = ConvNet((32, 32, 3), (4, 8))
    model.save(tmp_path / "model.keras")
    table = tmp_path / "cells.parquet"
    common = [str(folder), f"--model={tmp_path}/model.keras", "--size=32", f"--output={table}"]
    assert main(["embed", *common, "--grid=4"]) in (None, 0)
    assert "96 cells, 8 features each" in capsys.readouterr().out
    found = evaluation.load_features(table)
    assert len(found.names) == 96
    assert found.indices.tolist() == sorted([*range(6)] * 16)
    view = augmentation.evaluation(32)
    values = evaluation.grid_model(model, 4)(view(data.from_paths([folder / "2.png"])[0])[None])
    expected = ops.convert_to_numpy(values).reshape(16, 8)
    np.testing.assert_allclose(found.features[32:48], expected, rtol=1e-3, atol=1e-4)
    assert data.from_paths(found.names[:3])[1].shape == (10, 10, 3)
    assert main(["embed", *common, "--grid=4", "--update"]) == 2
    assert "--grid must not be given with --update" in capsys.readouterr().err
