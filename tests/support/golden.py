"""Twelve steps of the authors' training code, and the same network in Keras.

The files are in `tests/golden_data`. The authors' code computed them from the same images: that of
UMBCvision/ISD for ISD and BYOL, and `MeanShift` in UMBCvision/MSF's `train_msf.py` for MSF.
"""

import pathlib

import keras
import numpy as np

import keras_isd
from tests.support import torch_state

DATA = pathlib.Path(__file__).parent.parent / "golden_data"


class Trajectory:
    """One golden file: images, labels and losses of the steps, state before and after."""

    def __init__(self, name):
        with np.load(DATA / f"{name}_12_steps.npz") as arrays:
            self.arrays = dict(arrays)
        self.name = name
        self.losses = self.arrays["step/loss"]
        self.purity = self.arrays.get("step/purity_top5")
        self.labels = self.arrays["step/labels"]
        self.views = {
            "query": self.arrays["step/images_q"].transpose(0, 1, 3, 4, 2),
            "key": self.arrays["step/images_k"].transpose(0, 1, 3, 4, 2),
        }

    def state(self, when):
        """Arrays at `"init"` or `"final"` by PyTorch name; MSF's teacher is renamed as ISD's."""
        prefix = f"{when}/"
        return {
            k.removeprefix(prefix).replace("encoder_t.", "encoder_k."): v
            for k, v in self.arrays.items()
            if k.startswith(prefix)
        }

    def flat_views(self):
        """Views of all steps in one array each, `(96, 8, 8, 3)`, and their labels."""
        views = {name: images.reshape(-1, *images.shape[2:]) for name, images in self.views.items()}
        return views, self.labels.reshape(-1)

    def batches(self):
        for step in range(12):
            yield {name: images[step] for name, images in self.views.items()}, self.labels[step]


def small_backbone():
    layers = keras.layers
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv1")(images)
    x = layers.ReLU()(keras_isd.BatchNormalization(name="bn1")(x))
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(16, 3, 2, use_bias=False, name="conv2")(x)
    x = layers.ReLU()(keras_isd.BatchNormalization(name="bn2")(x))
    return keras.Model(images, layers.GlobalAveragePooling2D()(x), name="backbone")


def golden_optimizer(**kwargs):
    return keras_isd.optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-4, **kwargs)


def golden_model(
    name,
    state=None,
    optimizer=None,
    queue_size=64,
    synchronized_batch_norm=False,
    **compile_kwargs,
):
    """The compiled model of a golden file, in its initial state unless another is given.

    A queue of another size repeats the golden anchors.
    """
    wide = {
        "projector": keras_isd.heads.mlp(16, 32, 4, name="projector"),
        "predictor": keras_isd.heads.mlp(4, 32, 4, name="predictor"),
    }
    shared = {"backbone": small_backbone(), "synchronized_batch_norm": synchronized_batch_norm}
    if name == "isd_plus":
        model = keras_isd.ISDModel(**shared, **wide, queue_size=queue_size)
    elif name == "msf":
        model = keras_isd.baselines.MSFModel(
            **shared, **wide, queue_size=queue_size, num_neighbors=5
        )
    elif name == "byol":
        model = keras_isd.baselines.BYOLModel(**shared, **wide)
    elif name == "moco":  # has no golden steps: starts from another file's state
        state = state or Trajectory("isd_r18").state("init")
        model = keras_isd.baselines.MoCoModel(**shared, queue_size=queue_size, symmetric=True)
    else:
        several = {"query_views": 2, "small_views": 3} if name == "several" else {}
        if several:  # has no golden steps either
            state = state or Trajectory("isd_r18").state("init")
        model = keras_isd.ISDModel(
            **shared,
            **several,
            predictor=keras_isd.heads.mlp(16, 16, 16, hidden_bias=False, name="predictor"),
            queue_size=queue_size,
            teacher_temperature=0.02,
            student_temperature=0.02,
            teacher_momentum=0.999,
        )
    state = state or Trajectory(name).state("init")
    for part, prefix in parts(model):
        torch_state.load(part, state, prefix)
    if "queue" in state:
        model.queue.embeddings.assign(np.resize(state["queue"], model.queue.embeddings.shape))
    model.compile(optimizer or golden_optimizer(), **compile_kwargs)
    return model


def several_views(views):
    """Two queries of each image and three small ones, for the model `"several"`."""
    query, key = views["query"], views["key"]
    small = [query[:, ::2, ::2], query[:, 1::2, ::2], key[:, :4, 2:6]]
    return {
        "query": np.stack([query, key[:, ::-1]], axis=1),
        "small": np.stack(small, axis=1),
        "key": key,
    }


def parts(model):
    """Pairs of a sub-model and its prefix in the authors' state dict."""
    pairs = [
        (model.student_backbone, "encoder_q"),
        (model.teacher_backbone, "encoder_k"),
        (model.projector, "encoder_q.fc"),
        (model.teacher_projector, "encoder_k.fc"),
        (model.predictor, "predict_q"),
    ]
    return [(part, prefix) for part, prefix in pairs if part is not None]
