"""`examples/distill.py`: teachers of several kinds, and going on."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image

import keras_isd
from tests.support.processes import run_python

pytestmark = pytest.mark.slow
COMMAND = ("examples/distill.py", "--student=convnet", "--width=4", "--size=16", "--batch_size=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("images"), np.random.RandomState(0)
    for i in range(20):
        Image.fromarray(random.randint(0, 256, (40 + i, 50, 3), "uint8")).save(folder / f"{i}.png")
    return folder


def losses(output):
    with open(output / "metrics.csv") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.mark.one_backend("features and model are tested on each backend")
def test_a_network_of_keras_is_distilled_and_a_second_call_goes_on(folder, tmp_path):
    command = (*COMMAND, f"--image_folder={folder}", f"--output={tmp_path}", "--teacher_size=32")
    command += ("--teacher=MobileNetV3Small", "--teacher_weights=none")
    run_python(*command, "--epochs=1", quiet=True)
    features = np.load(tmp_path / "teacher_features.npy")
    assert features.shape == (20, 576)
    written = (tmp_path / "teacher_features.npy").stat().st_mtime_ns
    said = run_python(*command, "--epochs=2")
    assert "Epoch 2/2" in said
    assert "Epoch 1/2" not in said
    assert (tmp_path / "teacher_features.npy").stat().st_mtime_ns == written
    assert np.isfinite(losses(tmp_path)).all()
    assert len(losses(tmp_path)) == 2
    model = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(model, keras_isd.DistillationModel)
    assert model.student_backbone.output_shape == (None, 32)


@pytest.mark.one_backend("each backend reads the same files")
def test_a_file_of_a_model_or_of_features_is_a_teacher_too(folder, tmp_path):
    backbone = keras_isd.backbones.ConvNet((16, 16, 3), filters=(4, 8))
    backbone.save(tmp_path / "teacher.keras")
    given = (*COMMAND, f"--image_folder={folder}", "--epochs=1")
    run_python(
        *given,
        f"--output={tmp_path / 'one'}",
        f"--teacher={tmp_path / 'teacher.keras'}",
        "--teacher_size=16",
    )
    features = tmp_path / "one" / "teacher_features.npy"
    assert np.load(features).shape == (20, 8)
    run_python(*given, f"--output={tmp_path / 'two'}", f"--teacher_features={features}")
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    np.save(tmp_path / "other.npy", np.load(features) + 1)
    other = (*given[:-1], "--epochs=2", f"--teacher_features={tmp_path / 'other.npy'}")
    with pytest.raises(AssertionError, match="--resume goes on with the run it is of"):
        run_python(*other, f"--output={tmp_path / 'two'}")
    several = (f"--output={tmp_path / 'three'}", "--query_views=2")
    run_python(*given, f"--teacher_features={features}", *several)
    assert losses(tmp_path / "three") != losses(tmp_path / "one")


@pytest.mark.one_backend("flags are the same under any backend")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "Give a --teacher, or --teacher_features"),
        (("--teacher=resnet50",), "(?s)a preset of keras-hub.*Received: resnet50"),
        (("--teacher=Resnet999",), "(?s)a preset of keras-hub.*Received: Resnet999"),
    ],
)
def test_a_teacher_that_there_is_not_is_named(folder, tmp_path, flags, said):
    with pytest.raises(AssertionError, match=said):
        run_python(*COMMAND, f"--image_folder={folder}", f"--output={tmp_path}", *flags)
