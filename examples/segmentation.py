"""A segmentation head on few masks, with and without pretraining on unlabelled images.

    python examples/segmentation.py --epochs=30 --masks=10

Draws images of one texture with a patch of another one, trains a small network on them without
labels, and then a head on the maps of its stages (`keras_isd.backbones.feature_maps`) from a few
masks, which have the texture of each pixel. The table has the mean intersection over union on other
images, of a head alone and of the whole network, from pretrained weights and from random ones.
Takes two minutes on two cores.
"""

from keras_isd_start import quiet_start

with quiet_start():  # TensorFlow's start-up messages
    import keras
import numpy as np
from absl import app, flags
from scipy import ndimage

import keras_isd
from keras_isd import augmentation, backbones, data

EPOCHS = flags.DEFINE_integer("epochs", 30, "Epochs of pretraining.")
IMAGES = flags.DEFINE_integer("images", 2000, "Unlabelled images.")
MASKS = flags.DEFINE_integer("masks", 10, "Labelled images.")
STEPS = flags.DEFINE_integer("steps", 300, "Steps of training a head.")
SEED = flags.DEFINE_integer("seed", 0, "Random seed.")
SIDE, KINDS, TESTED = 48, 6, 200


def draw_texture(kind, random):
    """A texture `(SIDE, SIDE)` with mean 0 and deviation 1: stripes, grids, spots or noise."""
    y, x = np.mgrid[:SIDE, :SIDE] + random.uniform(0, SIDE, (2, 1, 1))
    angle = random.uniform(0, np.pi)
    across = x * np.cos(angle) + y * np.sin(angle)
    along = y * np.cos(angle) - x * np.sin(angle)
    wave = 2 * np.pi / (4 if kind % 2 else 7)
    noise = random.randn(SIDE, SIDE)
    texture = {
        0: np.sin(wave * across),
        1: np.sin(wave * across) * np.sin(wave * along),
        2: ndimage.gaussian_filter(noise, 1 if kind % 2 else 2, mode="wrap"),
    }[kind // 2]
    return (texture - texture.mean()) / texture.std() + 0.4 * random.randn(SIDE, SIDE)


def draw_image(random):
    """A grey image `(SIDE, SIDE, 1)` of a texture with a patch of another, and its mask."""
    kinds = random.choice(KINDS, 2, replace=False)
    blob = ndimage.gaussian_filter(random.randn(SIDE, SIDE), SIDE / 8, mode="wrap")
    is_patch = blob > np.quantile(blob, random.uniform(0.6, 0.9))
    first, second = (draw_texture(kind, random) for kind in kinds)
    light, contrast = random.uniform(110, 140), random.uniform(20, 30)
    pixels = np.where(is_patch, second, first)[..., None] * contrast + light
    return pixels.clip(0, 255).astype("uint8"), np.where(is_patch, kinds[1], kinds[0])


def pretrain(images):
    """The backbone of an ISD model that is trained on the images without labels."""
    view = augmentation.Augmenter([
        augmentation.RandomResizedCrop(SIDE, area=(0.3, 1), aspect_ratio=(1, 1)),
        augmentation.RandomOrientation(),
        augmentation.IntensityJitter(channels=1, brightness=0.3, contrast=0.4, rate=0.8),
        augmentation.Rescale(0, 255),
        augmentation.Normalize(mean=[0.5], std=[0.2]),
    ])  # fmt: skip
    batches = data.two_view_dataset(
        data.from_arrays(images, channels=1), view, view, 64, seed=SEED.value
    )
    model = keras_isd.ISDModel.from_recipe(
        "cifar_resnet18", backbone=make_backbone(), queue_size=1024
    )
    model.compile(keras_isd.optimizers.from_recipe("cifar_resnet18", len(batches), EPOCHS.value))
    model.fit(batches, epochs=EPOCHS.value, shuffle=False, verbose=2)
    return model.student_backbone


def make_backbone():
    return backbones.ConvNet((SIDE, SIDE, 1), filters=(16, 32, 64, 128))


def add_head(backbone, is_frozen):
    """A network from images to the kind of each pixel: a linear layer on all maps together."""
    maps = backbones.feature_maps(backbone)
    maps.trainable = not is_frozen
    inputs = keras.Input(maps.input_shape[1:])
    enlarged = [
        keras.layers.UpSampling2D(SIDE // x.shape[1], interpolation="bilinear")(x)
        for x in maps(inputs)
    ]
    x = keras.layers.BatchNormalization()(keras.layers.Concatenate()(enlarged))
    return keras.Model(inputs, keras.layers.Conv2D(KINDS, 1)(x))


def score(network, images, masks, tested, truth):
    """Trains a network on masks; returns its mean intersection over union on other images."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, STEPS.value)
    network.compile(keras.optimizers.Adam(rate), loss)
    rows = np.random.RandomState(SEED.value).randint(0, len(images), (STEPS.value, 8)).ravel()
    network.fit(images[rows], masks[rows], batch_size=8, verbose=0)
    metric = keras.metrics.MeanIoU(KINDS, sparse_y_pred=False)
    metric.update_state(truth, network.predict(tested, verbose=0))
    return float(metric.result())


def main(_):
    keras.utils.set_random_seed(SEED.value)
    random = np.random.RandomState(SEED.value)
    drawn = [draw_image(random) for _ in range(IMAGES.value + TESTED)]
    images, masks = (np.stack(arrays) for arrays in zip(*drawn))
    scaled = (images / 255 - 0.5) / 0.2
    few, tested = slice(0, MASKS.value), slice(IMAGES.value, None)
    pretrained = pretrain(images[: IMAGES.value])
    print(f"\n{MASKS.value} masks{'':<20}{'mean IoU':>9}")
    for is_frozen, trained in ((True, "head alone"), (False, "whole network")):
        for name, backbone in (("untrained", make_backbone()), ("pretrained", pretrained)):
            network = add_head(backbone, is_frozen)
            found = score(network, scaled[few], masks[few], scaled[tested], masks[tested])
            print(f"{name + ', ' + trained:<28}{found:>8.3f}", flush=True)


if __name__ == "__main__":
    app.run(main)
