import json

import numpy as np
import pytest
from keras import ops

import keras_isd
from keras_isd import backbones
from tests import torch_state
from tests.golden import DATA


def filled_state(name):
    """The checkpoint's state dict, filled by the rule of `../shared/golden/README.md`."""
    layout = json.loads((DATA / f"checkpoint_{name}.json").read_text())
    state = {}
    for i, key in enumerate(sorted(layout)):
        shape, _ = layout[key]
        r = np.random.RandomState(i)
        if key.endswith("num_batches_tracked") or key in ("queue", "labels", "queue_ptr"):
            continue
        if key.endswith("running_var"):
            value = r.uniform(0.5, 1.5, shape)
        elif key.endswith("running_mean"):
            value = 0.1 * r.standard_normal(shape)
        elif len(shape) == 1:
            is_scale = key.endswith("weight")
            value = r.uniform(0.5, 1.5, shape) if is_scale else 0.1 * r.standard_normal(shape)
        else:
            value = r.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
        state[key.replace("module.", "")] = value.astype("float32")
    return state


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_every_part_answers_as_the_authors_network(name):
    backbone = {"resnet18": backbones.ResNet18, "resnet50": backbones.ResNet50}[name]()
    # A checkpoint of the authors' ISD+, with either backbone.
    model = keras_isd.ISDModel.from_recipe("resnet50", backbone=backbone, queue_size=8)
    state = filled_state(f"{name}_isd_plus")
    taken = set()
    for part, prefix in (
        (model.student_backbone, "encoder_q"),
        (model.projector, "encoder_q.fc"),
        (model.predictor, "predict_q"),
        (model.teacher_backbone, "encoder_k"),
        (model.teacher_projector, "encoder_k.fc"),
    ):
        torch_state.load(part, state, prefix)
        taken |= {key for _, key, _ in torch_state.torch_arrays(part, prefix)}
    assert taken == set(state)  # one to one: nothing of the authors' state is left over

    images = np.random.RandomState(123).standard_normal((2, 3, 224, 224)).astype("float32")
    images = images.transpose(0, 2, 3, 1)
    features = model.predict(images, verbose=0)
    projection = model.projector.predict(features, verbose=0)
    teacher = model.teacher_backbone.predict(images, verbose=0)
    answers = {
        "student_features": features,
        "student_projection": projection,
        "student_prediction": model.predictor.predict(projection, verbose=0),
        "teacher_features": teacher,
        "teacher_projection": model.teacher_projector.predict(teacher, verbose=0),
    }
    with np.load(DATA / f"checkpoint_{name}_isd_plus.npz") as golden:
        for key, answer in answers.items():
            np.testing.assert_allclose(answer, golden[key], rtol=1e-3, atol=1e-4, err_msg=key)


@pytest.mark.parametrize(
    ("build", "features", "parameters"),
    [
        # torchvision's counts, less the 1000-way classifier
        (backbones.ResNet18, 512, 11_689_512 - 513_000),
        (backbones.ResNet34, 512, 21_797_672 - 513_000),
        (backbones.ResNet50, 2048, 25_557_032 - 2_049_000),
    ],
)
def test_sizes_are_those_of_the_literature(build, features, parameters):
    model = build((64, 64, 3))
    assert model.output_shape == (None, features)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == parameters


def test_small_stem_keeps_the_resolution():
    small = backbones.ResNet18((32, 32, 3), stem="small")
    assert small.get_layer("layer1_0_conv1").output.shape[1:3] == (32, 32)
    assert small.get_layer("layer4_1_conv2").output.shape[1:3] == (4, 4)
    large = backbones.ResNet18((224, 224, 3))
    assert large.get_layer("layer1_0_conv1").output.shape[1:3] == (56, 56)


def test_images_of_any_size_where_the_shape_is_open():
    model = backbones.ResNet18((None, None, 3), stem="small", width=4)
    for size in (32, 47):
        assert model.predict(np.zeros((1, size, size, 3)), verbose=0).shape == (1, 32)


def test_convolutions_start_as_the_authors():
    kernel = backbones.ResNet18((32, 32, 3)).get_layer("layer3_1_conv1").kernel
    # normal(0, sqrt(2 / (3 * 3 * 256)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(kernel).std(), np.sqrt(2 / (9 * 256)), rtol=0.01
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stem": "tiny"}, "`stem`.*Received: stem='tiny'"),
        ({"input_shape": (32, 32)}, r"`input_shape`.*Received: input_shape=\(32, 32\)"),
        ({"width": 0}, "`width`.*Received: width=0"),
    ],
)
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        backbones.ResNet18(**arguments)
