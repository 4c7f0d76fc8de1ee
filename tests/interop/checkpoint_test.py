"""Checkpoints of PyTorch scripts are read and written."""

import argparse
import json
import pathlib
import pickle

import keras
import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd import interop
from tests.support import golden

torch = pytest.importorskip("torch", reason="checkpoints of PyTorch need PyTorch")


def golden_array(index, name, shape):
    """The value of the i-th name in sorted order, by the rule of the golden checkpoints."""
    r = np.random.RandomState(index)
    if name.endswith("num_batches_tracked"):
        return np.array(7)
    if name == "queue":
        queue = r.standard_normal(shape)
        return queue / np.linalg.norm(queue, axis=1, keepdims=True)
    if name == "labels":
        return r.randint(0, 1000, shape)
    if name == "queue_ptr":
        return np.array([256])
    if name.endswith("running_var"):
        return r.uniform(0.5, 1.5, shape)
    if name.endswith("running_mean"):
        return 0.1 * r.standard_normal(shape)
    if len(shape) == 1 and name.endswith("weight"):
        return r.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return 0.1 * r.standard_normal(shape)
    return r.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))


def golden_state(arch):
    listing = json.loads((golden.DATA / f"checkpoint_{arch}_isd_plus.json").read_text())
    return {
        name: torch.tensor(golden_array(i, name, listing[name][0]).astype(listing[name][1]))
        for i, name in enumerate(sorted(listing))
    }


def write(path, state, **options):
    options = argparse.Namespace(**options)
    torch.save({"opt": options, "state_dict": state, "optimizer": {"state": {}}, "epoch": 3}, path)
    return path


def as_numpy(x):
    return ops.convert_to_numpy(x)


def small_isd(**kwargs):
    backbone = keras_isd.backbones.ResNet18((16, 16, 3), "small", width=4)
    heads = {
        "projector": keras_isd.heads.mlp(32, 24, 8, name="projector"),
        "predictor": keras_isd.heads.mlp(8, 24, 8, name="predictor"),
    }
    return keras_isd.ISDModel(backbone, **{**heads, "queue_size": 12, **kwargs})


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_features_agree_with_the_authors(arch, tmp_path):
    path = write(tmp_path / "isd.pth", golden_state(arch), temp_t=0.03, temp_s=0.2, momentum=0.98)
    model = interop.load_torch_checkpoint(path)
    with np.load(golden.DATA / f"checkpoint_{arch}_isd_plus.npz") as arrays:
        expected = dict(arrays)
    images = np.random.RandomState(123).standard_normal((2, 3, 224, 224)).astype("float32")
    images = images.transpose(0, 2, 3, 1)
    for network, projector in (
        ("student", model.projector),
        ("teacher", model.teacher_projector),
    ):
        features = getattr(model, f"{network}_backbone")(images, training=False)
        np.testing.assert_allclose(as_numpy(features), expected[f"{network}_features"], atol=1e-4)
        projected = projector(features, training=False)
        np.testing.assert_allclose(
            as_numpy(projected), expected[f"{network}_projection"], atol=1e-4
        )
        if network == "student":
            predicted = as_numpy(model.predictor(projected, training=False))
            np.testing.assert_allclose(predicted, expected["student_prediction"], atol=1e-4)
    assert (model.teacher_temperature, model.student_temperature) == (0.03, 0.2)
    assert model.teacher_momentum == 0.98


def test_queue_labels_and_pointer_are_loaded(tmp_path):
    state = golden_state("resnet18")
    model = interop.load_torch_checkpoint(write(tmp_path / "isd.pth", state))
    np.testing.assert_array_equal(as_numpy(model.queue.embeddings), state["queue"].numpy())
    np.testing.assert_array_equal(as_numpy(model.queue.labels), state["labels"].numpy())
    assert int(model.queue.pointer.value) == 256
    assert int(model.queue.filled.value) == 1024
    assert (model.teacher_temperature, model.student_temperature) == (0.01, 0.1)  # the defaults


def test_a_checkpoint_is_the_same_after_loading_and_saving(tmp_path):
    state = golden_state("resnet18")
    model = interop.load_torch_checkpoint(write(tmp_path / "isd.pth", state))
    interop.save_torch_checkpoint(model, tmp_path / "back.pth", epoch=3)
    with torch.serialization.safe_globals([argparse.Namespace]):
        back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back["epoch"] == 3
    assert back["opt"].temp_t == 0.01
    assert set(back["state_dict"]) == set(state)
    for name, value in state.items():
        found = back["state_dict"][name]
        assert found.dtype == value.dtype, name
        assert found.shape == value.shape, name
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(found.numpy(), value.numpy(), err_msg=name)


def models():
    backbone = keras_isd.backbones.ResNet18((16, 16, 3), "small", width=4)
    mlp = keras_isd.heads.mlp
    yield small_isd(teacher_temperature=0.05)
    yield keras_isd.ISDModel(
        backbone,
        predictor=mlp(32, 32, 32, hidden_bias=False, name="predictor"),
        queue_size=12,
    )
    yield keras_isd.baselines.MoCoModel(
        backbone,
        projector=mlp(32, 32, 8, batch_norm=False, name="projector"),
        queue_size=12,
        temperature=0.3,
        teacher_momentum=0.98,
    )
    yield keras_isd.baselines.BYOLModel(
        backbone,
        projector=mlp(32, 24, 8, name="projector"),
        predictor=mlp(8, 24, 8, name="predictor"),
    )
    # Several methods may have a predictor, and a queue may be square.
    yield small_isd(predictor=None)
    yield keras_isd.ISDModel(backbone, queue_size=32)
    yield keras_isd.baselines.MoCoModel(
        backbone, predictor=mlp(32, 32, 32, name="predictor"), queue_size=32
    )


@pytest.mark.parametrize("index", range(7))
def test_every_method_is_the_same_after_saving_and_loading(index, tmp_path):
    model = list(models())[index]
    for variable in model.variables:
        if "float" in variable.dtype:
            variable.assign(keras.random.uniform(variable.shape))
    interop.save_torch_checkpoint(model, tmp_path / "model.pth")
    loaded = interop.load_torch_checkpoint(tmp_path / "model.pth", input_shape=(16, 16, 3))
    assert type(loaded) is type(model)
    for name in ("teacher_temperature", "student_temperature", "temperature", "teacher_momentum"):
        assert getattr(loaded, name, None) == getattr(model, name, None)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        if not other.path.endswith("filled"):
            np.testing.assert_array_equal(as_numpy(one), as_numpy(other), err_msg=one.path)
    images = np.random.RandomState(0).rand(2, 16, 16, 3)
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )


class Harm:
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("harm_was_done"),)


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, save in (("zip.pth", torch.save), ("old.pth", save_as_pickle)):
        save({"state_dict": Harm()}, name)
        with pytest.raises(ValueError, match=r"`path` must .*without code. Received: .*\.pth"):
            interop.load_torch_checkpoint(name)
    assert not pathlib.Path("harm_was_done").exists()
    with open("old.pth", "rb") as file:  # the file does run code if it is unpickled
        pickle.load(file)
    assert pathlib.Path("harm_was_done").exists()


def save_as_pickle(value, name):
    with open(name, "wb") as file:
        pickle.dump(value, file, protocol=2)


def test_files_that_are_no_checkpoint_are_rejected(tmp_path):
    path = tmp_path / "x.pth"
    with pytest.raises(FileNotFoundError):
        interop.load_torch_checkpoint(path)
    interop.save_torch_checkpoint(small_isd(), path)
    whole = path.read_bytes()
    for damaged in (b"", b"no checkpoint", b"\x80\x02.", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"`path` must be a PyTorch file.*Received: .*x\.pth"):
            interop.load_torch_checkpoint(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match=r"`path` must have a state dict.*Received: .*\['epoch'\]"):
        interop.load_torch_checkpoint(path)


def test_other_networks_are_rejected(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"features.0.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ValueError, match=r"ResNet-18, 34 or 50.*features\.0\.weight"):
        interop.load_torch_checkpoint(path)
    interop.save_torch_checkpoint(small_isd(), path)
    with torch.serialization.safe_globals([argparse.Namespace]):
        state = torch.load(path, weights_only=True)["state_dict"]
    del state["encoder_k.module.layer2.0.bn1.bias"]
    state["encoder_q.module.extra"] = torch.zeros(1)
    state["encoder_k.module.conv1.weight"] = torch.zeros(5, 3, 3, 3)
    torch.save({"state_dict": state}, path)
    with pytest.raises(ValueError, match=r"`path` must .*Received: .*missing") as raised:
        interop.load_torch_checkpoint(path)
    for expected in (
        "missing: encoder_k.layer2.0.bn1.bias",
        "unknown: encoder_q.extra",
        "encoder_k.conv1.weight of shape (5, 3, 3, 3)",
    ):
        assert expected in str(raised.value)


def test_parameters_and_half_precision_are_read(tmp_path):
    model = small_isd()
    interop.save_torch_checkpoint(model, tmp_path / "x.pth")
    with torch.serialization.safe_globals([argparse.Namespace]):
        state = torch.load(tmp_path / "x.pth", weights_only=True)["state_dict"]
    state = {n: v.bfloat16() if v.is_floating_point() else v for n, v in state.items()}
    name = "encoder_q.module.conv1.weight"
    state[name] = torch.nn.Parameter(state[name])
    torch.save(state, tmp_path / "half.pth")
    loaded = interop.load_torch_checkpoint(tmp_path / "half.pth")
    for one, other in zip(model.student_backbone.weights, loaded.student_backbone.weights):
        np.testing.assert_allclose(as_numpy(one), as_numpy(other), rtol=1e-2, atol=1e-3)


def test_queues_of_another_shape_are_rejected(tmp_path):
    interop.save_torch_checkpoint(small_isd(), tmp_path / "x.pth")
    with torch.serialization.safe_globals([argparse.Namespace]):
        state = torch.load(tmp_path / "x.pth", weights_only=True)["state_dict"]
    for shape, message in (((12,), r"`queue` .*\(12,\)"), ((12, 5), r"queue of shape \(12, 5\)")):
        torch.save({**state, "queue": torch.zeros(shape)}, tmp_path / "x.pth")
        with pytest.raises(ValueError, match=message):
            interop.load_torch_checkpoint(tmp_path / "x.pth")


def test_a_square_queue_without_the_settings_of_the_script_is_rejected(tmp_path):
    interop.save_torch_checkpoint(small_isd(queue_size=8), tmp_path / "x.pth")
    with torch.serialization.safe_globals([argparse.Namespace]):
        state = torch.load(tmp_path / "x.pth", weights_only=True)["state_dict"]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"`queue` of a checkpoint must .*Received: .*\(8, 8\)"):
        interop.load_torch_checkpoint(tmp_path / "x.pth")


def test_the_settings_of_a_script_determine_the_method_of_a_square_queue(tmp_path):
    path = tmp_path / "x.pth"
    interop.save_torch_checkpoint(
        keras_isd.baselines.MoCoModel(
            keras_isd.backbones.ResNet18((16, 16, 3), "small", width=4), queue_size=32
        ),
        path,
    )
    with torch.serialization.safe_globals([argparse.Namespace]):
        file = torch.load(path, weights_only=True)
    file["opt"] = argparse.Namespace(
        moco_t=0.3, moco_m=0.9, momentum=0.8
    )  # `momentum` is that of SGD
    torch.save(file, path)
    model = interop.load_torch_checkpoint(path)
    assert type(model) is keras_isd.baselines.MoCoModel
    assert (model.temperature, model.teacher_momentum) == (0.3, 0.9)
    queue = file["state_dict"]["module.queue"].numpy()
    np.testing.assert_array_equal(as_numpy(model.queue.embeddings), queue.T)


def test_models_that_could_not_be_loaded_again_are_not_saved(tmp_path):
    model = keras_isd.ISDModel(keras_isd.backbones.ConvNet((8, 8, 3), (4,)), queue_size=8)
    unnamed = keras_isd.heads.mlp(8, 24, 8)
    for wrong in (model, small_isd(predictor=unnamed)):
        with pytest.raises(ValueError, match=r"`model` must be .*Received: ISDModel of"):
            interop.save_torch_checkpoint(wrong, tmp_path / "x.pth")
    assert not (tmp_path / "x.pth").exists()
