"""The views of the paper, from the layers that keras-cv has.

Each recipe is a function from a batch of images `(B, H, W, 3)` with values in [0, 255] to a
batch of views `(B, size, size, 3)`, float32, normalised. They run in TensorFlow, so in tf.data
pipelines, under any Keras backend.

The layers are close to torchvision's, not equal: the crop's aspect ratio is uniform, not
log-uniform, and brightness is added, not multiplied. Their random numbers follow
`keras.utils.set_random_seed`, called before the recipe, and the order of the batches; those of the
blur need not.
"""

import contextlib
import random

import keras
import keras_cv
import tensorflow as tf

# Channel means and standard deviations, for images in [0, 1].
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))

_VALUES = (0, 255)


def weak(size, statistics=IMAGENET):
    """Random resized crop of area 0.2 to 1, and horizontal flip.

    Args:
        size: int, side of the square view in pixels.
        statistics: pair of channel means and standard deviations, for [0, 1].

    Returns:
        Function from images to views.

    Source: `aug_weak` in the authors' `train_isd_plus.py`.

    Example:

    >>> keras_isd.augmentation.weak(32)(np.zeros((4, 40, 50, 3), "float32")).shape
    TensorShape([4, 32, 32, 3])
    """
    with _float32_and_seeded():
        return _in_turn([_crop(size), _flip()], statistics)


def strong(size, statistics=IMAGENET, blur=True):
    """As `weak`, with colour jitter, random grayscale and Gaussian blur.

    Args:
        size: int, side of the square view in pixels.
        statistics: pair of channel means and standard deviations, for [0, 1].
        blur: bool. For images of 32 pixels blur is usually left out.

    Returns:
        Function from images to views.

    Source: `aug_strong` in the authors' `train_isd_plus.py`: jitter (0.4, 0.4, 0.4,
    0.1) with probability 0.8, grayscale 0.2, blur of sigma 0.1 to 2 with 0.5.

    Example:

    >>> keras_isd.augmentation.strong(32)(np.zeros((4, 40, 50, 3), "float32")).shape
    TensorShape([4, 32, 32, 3])
    """
    with _float32_and_seeded():
        return _in_turn(_strong_layers(size, blur), statistics)


def evaluation(size, statistics=IMAGENET):
    """Resizes to `size` squared and normalises; nothing is random.

    Example:

    >>> keras_isd.augmentation.evaluation(32)(np.zeros((4, 40, 50, 3), "float32")).shape
    TensorShape([4, 32, 32, 3])
    """

    def resize(images, training):
        return tf.image.resize(images, (size, size), antialias=True)

    return _in_turn([resize], statistics)


def _strong_layers(size, blur):
    layers = keras_cv.layers
    jitter = layers.RandomColorJitter(
        value_range=_VALUES,
        # Added by this layer, where torchvision multiplies by 0.6 to 1.4: about that much at the
        # mean brightness of photographs. 0.4 would saturate a good part of the pixels.
        brightness_factor=0.2,
        contrast_factor=0.4,
        # This layer's factor f scales saturation by f / (1 - f): here by 0.6 to 1.4.
        saturation_factor=(0.375, 7 / 12),
        hue_factor=0.2,  # halved by the layer: a shift of up to 0.1 of the circle
    )
    chain = [
        _crop(size),
        _sometimes(jitter, rate=0.8),
        _sometimes(layers.Grayscale(output_channels=3), rate=0.2),
    ]
    if blur:
        kernel_size = max(3, size // 10 // 2 * 2 + 1)  # a tenth of the side, as in SimCLR; odd
        gaussian = layers.RandomGaussianBlur(kernel_size=kernel_size, factor=(0.1, 2.0))
        chain.append(_sometimes(gaussian, rate=0.5))
    return [*chain, _flip()]


def _crop(size):
    return keras_cv.layers.RandomCropAndResize(
        (size, size), crop_area_factor=(0.2, 1.0), aspect_ratio_factor=(3 / 4, 4 / 3)
    )


def _flip():
    return keras_cv.layers.RandomFlip("horizontal")


def _sometimes(layer, rate):
    """Applies a layer to each image with probability `rate`.

    keras-cv's RandomApply goes through the images one by one and several at a time, which draws
    their random numbers in no fixed order.
    """
    generator = tf.random.get_global_generator()

    def apply(images, training):
        chosen = generator.uniform((tf.shape(images)[0], 1, 1, 1)) < rate
        return tf.where(chosen, layer(images, training=training), images)

    return apply


def _in_turn(layers, statistics):
    mean, std = (tf.constant(values, "float32") for values in statistics)

    def views(images):
        x = tf.cast(images, "float32")
        for layer in layers:
            x = layer(x, training=True)
        return (x / 255.0 - mean) / std

    return views


@contextlib.contextmanager
def _float32_and_seeded():
    """What keras-cv's layers need about them when they are made.

    Under a mixed policy they fail or give NaN. And they draw from TensorFlow's global generator as
    it is at that moment, which `keras.utils.set_random_seed` does not seed; Python's it does.
    """
    policy, generator = keras.config.dtype_policy(), tf.random.get_global_generator()
    keras.config.set_dtype_policy("float32")
    tf.random.set_global_generator(tf.random.Generator.from_seed(random.getrandbits(31)))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        tf.random.set_global_generator(generator)
