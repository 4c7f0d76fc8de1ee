"""A trained backbone is exported to ONNX, and a model saved to a folder or a hub."""

import shutil

import keras
import numpy as np
import pytest
from keras.src.saving import saving_lib

import keras_isd
from tests.support import golden

IMAGES = np.random.RandomState(0).randn(3, 16, 16, 3).astype("float32")


@pytest.mark.filterwarnings("ignore")  # Keras and the exporters warn about their own code
def test_onnx_computes_the_features_of_the_backbone(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if keras.backend.backend() == "jax":
        pytest.importorskip("jax2onnx", reason="Keras exports ONNX from JAX with jax2onnx")
    small = keras_isd.backbones.ResNet18((16, 16, 3), stem="small", width=4)
    model = keras_isd.ISDModel.from_recipe("cifar_resnet18", backbone=small, queue_size=16)
    model.student_backbone.export(tmp_path / "student.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "student.onnx")
    [given] = session.get_inputs()
    [found] = session.run(None, {given.name: IMAGES})
    np.testing.assert_allclose(found, model.predict(IMAGES, verbose=0), rtol=1e-4, atol=1e-5)


class Hub:
    """The functions of `huggingface_hub` that Keras calls, with a local folder."""

    def __init__(self, folder):
        self.folder = folder
        self.HfApi = lambda **kwargs: self

    def create_repo(self, name, exist_ok):
        self.repo_id = name
        return self

    def upload_folder(self, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, self.folder / repo_id)

    def snapshot_download(self, repo_id, **kwargs):
        return str(self.folder / repo_id)


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_a_model_is_restored_completely_from_a_folder_or_a_hub(place, tmp_path, monkeypatch):
    model = golden.golden_model("isd_plus")
    views, labels = golden.Trajectory("isd_plus").flat_views()
    model.fit(views, labels, batch_size=8, shuffle=False, verbose=0)
    if place == "hub":
        monkeypatch.setattr(saving_lib, "huggingface_hub", Hub(tmp_path))
        model.save("hf://somebody/isd")
        assert (tmp_path / "somebody/isd/config.json").is_file()
        loaded = keras.saving.load_model("hf://somebody/isd")
    else:
        model.save(tmp_path / "isd", zipped=False)
        loaded = keras.saving.load_model(tmp_path / "isd")
    assert type(loaded) is keras_isd.ISDModel
    for one, other in zip(loaded.variables, model.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)), one.path)
