"""The ResNet of PyTorch files of several kinds is loaded."""

import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd import interop
from tests.interop.checkpoint_test import golden_state
from tests.support import golden

torch = pytest.importorskip("torch", reason="checkpoints of PyTorch need PyTorch")

IMAGES = np.random.RandomState(123).standard_normal((2, 3, 224, 224)).astype("float32")


def features(backbone):
    return ops.convert_to_numpy(backbone(IMAGES.transpose(0, 2, 3, 1)))


def saved(path, state):
    torch.save(state, path)
    return path


def encoder(prefix, own=""):
    """The authors' golden network under other names, and its features in PyTorch."""
    state = {
        own + name.removeprefix(f"{prefix}.module."): tensor
        for name, tensor in golden_state("resnet18").items()
        if name.startswith(f"{prefix}.module.")
    }
    assert state
    with np.load(golden.DATA / "checkpoint_resnet18_isd_plus.npz") as arrays:
        network = "student" if prefix == "encoder_q" else "teacher"
        return state, arrays[f"{network}_features"]


@pytest.mark.parametrize(
    "own", ["", "module.encoder_q.", "backbone.", "module.base_encoder.", "model.net.0."]
)
def test_a_backbone_is_found_behind_any_prefix(own, tmp_path):
    state, expected = encoder("encoder_q", own)
    state[f"{own}fc.weight"] = torch.zeros(10, 512)  # which no backbone has
    found = interop.load_torch_backbone(saved(tmp_path / "a.pth", {"state_dict": state}))
    np.testing.assert_allclose(features(found), expected, rtol=1e-3, atol=1e-4)


def test_the_student_is_loaded_unless_the_prefix_is_the_teachers(tmp_path):
    path = saved(tmp_path / "isd.pth", {"model": golden_state("resnet18")})
    for prefix, name in ((None, "encoder_q"), ("encoder_k.", "encoder_k")):
        found = interop.load_torch_backbone(path, prefix)
        np.testing.assert_allclose(features(found), encoder(name)[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_features_equal_torchvisions(name, tmp_path):
    models = pytest.importorskip("torchvision", reason="needs torchvision").models
    torch.manual_seed(0)
    network = getattr(models, name)().eval()
    for module in network.modules():  # in new networks they are 0 and 1
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    found = interop.load_torch_backbone(saved(tmp_path / "tv.pth", network.state_dict()))
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = network(torch.as_tensor(IMAGES)).numpy()
    np.testing.assert_allclose(features(found), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "prefix", "message"),
    [
        (lambda s: s, "encoder_k.", r"`prefix`.*Received: 'encoder_k\.'.*ResNets under \[''\]"),
        (
            lambda s: {"weights": s["conv1.weight"]},
            None,
            r"`prefix` must .*ResNets under \[\], .*names such as \['weights'",
        ),
        (
            lambda s: {**s, **{f"other.{n}": t for n, t in s.items()}},
            "encoder_q.",
            r"ResNets under \['', 'other\.'\]",
        ),
        (
            lambda s: {n: t for n, t in s.items() if n != "layer4.1.bn2.running_var"},
            None,
            r"must have 100 arrays.*layer4\.1\.bn2\.running_var of shape None",
        ),
        (
            lambda s: {**s, "layer1.0.se.fc1.weight": s["conv1.weight"]},
            None,
            r"must have 100 arrays.*unknown layer1\.0\.se\.fc1\.weight",
        ),
        (
            lambda s: {n: t for n, t in s.items() if not n.startswith("layer4")},
            None,
            r"ResNet-18, 34 or 50 under ''.*\(2, 2, 2, 0\)",
        ),
    ],
)
def test_files_without_a_backbone_are_rejected(change, prefix, message, tmp_path):
    state, _ = encoder("encoder_q")
    path = saved(tmp_path / "bad.pth", change(state))
    with pytest.raises(ValueError, match=message):
        interop.load_torch_backbone(path, prefix)


def test_a_loaded_backbone_can_be_trained(tmp_path):
    state, _ = encoder("encoder_q")
    path = saved(tmp_path / "a.pth", state)
    backbone = interop.load_torch_backbone(path, input_shape=(32, 32, 3))
    model = keras_isd.ISDModel(backbone, queue_size=8)
    model.compile(keras_isd.optimizers.SGD(0.01))
    views = np.random.RandomState(0).standard_normal((4, 32, 32, 3)).astype("float32")
    history = model.fit({"query": views, "key": views}, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
