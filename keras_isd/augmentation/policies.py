"""Augmentation policies: the views of the paper.

Each policy is an `Augmenter` from images `(B, H, W, C)` to normalised views `(B, size, size, C)`,
float32. The paper combines `weak` and `strong` as query and key in all four ways; its best
combination is a strong query and a weak key.

`statistics` are the channels' means and standard deviations for values in [0, 1]; their number is
C. For 8-bit photographs use those below; for other images `keras_isd.data.channel_statistics`
measures them, together with the value range that corresponds to [0, 1].
"""

from keras_isd.augmentation.augmenter import Augmenter
from keras_isd.augmentation.blur import GaussianBlur
from keras_isd.augmentation.color import RGB, ColorJitter, Grayscale, Solarize
from keras_isd.augmentation.geometry import CentralCrop, HorizontalFlip, RandomResizedCrop
from keras_isd.augmentation.intensity import IntensityJitter, Normalize, Rescale

# Channel means and standard deviations, for images in [0, 1].
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def weak(size, statistics=IMAGENET):
    """Makes weak views: random resized crop of area 0.2 to 1, and horizontal flip.

    Args:
        size: int, side of the square view in pixels.
        statistics: means and standard deviations of C channels for values in [0, 1], and, for
            images of other than 8 bits, the value range that corresponds to it; see
            `keras_isd.data.channel_statistics`. Defaults to those of ImageNet.

    Returns:
        An `Augmenter`.

    Source: `aug_weak` in the authors' `train_isd_plus.py`.

    Example:

    >>> tuple(keras_isd.augmentation.weak(32)(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    return _policy(RandomResizedCrop(size), [HorizontalFlip()], statistics)


def strong(size, statistics=IMAGENET, blur=0.5, solarize=0.0, rgb=None):
    """Makes strong views: as `weak`, with colour jitter, random grayscale and Gaussian blur.

    Channels without colour get `IntensityJitter` instead of colour jitter and grayscale.

    Args:
        size: int, side of the square view in pixels.
        statistics: see `weak`.
        blur: float, probability of blur; 0 is usual for images of 32 pixels. Defaults to 0.5.
        solarize: float, probability of solarisation. BYOL's two views are
            `strong(224, blur=1.0)` and `strong(224, blur=0.1, solarize=0.2)`. Defaults to 0.
        rgb: triple of ints, the red, green and blue channels: `(3, 2, 1)` for Sentinel-2's thirteen
            bands. Defaults to None: (0, 1, 2) for three channels, else no colour.

    Returns:
        An `Augmenter`.

    Raises:
        ValueError: if `rgb` has other than three of the channels.

    Source: `aug_strong` in the authors' `train_isd_plus.py`: jitter (0.4, 0.4, 0.4,
    0.1) with probability 0.8, grayscale 0.2, blur of sigma 0.1 to 2 with 0.5.

    Example:

    >>> tuple(keras_isd.augmentation.strong(32, blur=0)(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    channels = len(statistics[0])
    rgb = RGB if rgb is None and channels == 3 else rgb
    chain = []
    if rgb is not None:
        chain += [ColorJitter(0.4, 0.4, 0.4, 0.1, rate=0.8, rgb=rgb), Grayscale(0.2, rgb=rgb)]
        if max(rgb) >= channels:
            raise ValueError(
                f"Argument `rgb` must be three of {channels} channels. Received: {rgb=}"
            )
    if without_color := sorted(set(range(channels)) - set(rgb or ())):
        chain.append(IntensityJitter(without_color, 0.4, 0.4, rate=0.8))
    if blur:
        chain.append(GaussianBlur((0.1, 2.0), rate=blur))
    if solarize:
        chain.append(Solarize(solarize))
    return _policy(RandomResizedCrop(size), [*chain, HorizontalFlip()], statistics)


def evaluation(size, statistics=IMAGENET, fraction=1.0):
    """Makes deterministic views: the central square, resized to `size` and normalised.

    Args:
        size: int, side of the square view in pixels.
        statistics: see `weak`.
        fraction: float, side of the square relative to the image's shorter side. The usual protocol
            of ImageNet, to resize the shorter side to 256 and crop 224 pixels, is
            `evaluation(224, fraction=224 / 256)`. Defaults to 1.

    Returns:
        An `Augmenter`.

    Example:

    >>> tuple(keras_isd.augmentation.evaluation(32)(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    return _policy(CentralCrop(size, fraction), [], statistics)


def _policy(crop, changes, statistics):
    """Makes an `Augmenter` of a crop, changes of pixels in [0, 255], and normalisation."""
    mean, std, *value_range = statistics
    rescale = [Rescale(*value_range[0])] if value_range else []
    return Augmenter([crop, *rescale, *changes, Normalize(mean, std)])
