"""Augmentation policies: the views of the paper, and views of images of other kinds.

Each policy is an `Augmenter` from images `(B, H, W, C)` to normalised views `(B, size, size, C)`,
float32. The paper combines `weak` and `strong` as query and key in all four ways; its best
combination is a strong query and a weak key. The policies of other domains are for both.

`statistics` are the channels' means and standard deviations for values in [0, 1]; their number is
C. For 8-bit photographs use those below; for other images `keras_isd.data.channel_statistics`
measures them, together with the value range that corresponds to [0, 1], for images as they are or
normalised one by one.
"""

from keras_isd.augmentation.augmenter import Augmenter
from keras_isd.augmentation.blur import GaussianBlur
from keras_isd.augmentation.color import RGB, ColorJitter, Grayscale, Solarize
from keras_isd.augmentation.geometry import (
    CentralCrop,
    HorizontalFlip,
    RandomAffine,
    RandomOrientation,
    RandomResizedCrop,
)
from keras_isd.augmentation.image_normalization import NormalizeImage
from keras_isd.augmentation.intensity import (
    ChannelDropout,
    IlluminationJitter,
    IntensityJitter,
    Normalize,
    Rescale,
)
from keras_isd.augmentation.noise import SensorNoise
from keras_isd.augmentation.stain import StainJitter

# Channel means and standard deviations, for images in [0, 1].
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# Degrees of the surface that is taken off each image before its crop.
DEGREES = {"none": None, "image": 0, "background": 2}
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


def microscopy(size, statistics=IMAGENET, blur=0.5):
    """Makes views of micrographs of cells: any orientation, other light in each channel, noise.

    Each channel has its own factors, since its strength depends on the exposure and the stain. With
    two or more channels one is left out at times. Crops have 0.4 to 1 of the area: smaller ones may
    lack a cell, and with larger ones the network learned single images. Noise of random strength
    hides that of the camera, which differs between plates even if the background is taken off.

    Args:
        size, statistics: see `weak`.
        blur: float, probability of blur. Defaults to 0.5.

    Returns:
        An `Augmenter`.

    Source: the crops, brightness and channel-wise intensities of Doron et al., "Unbiased
    single-cell morphology with self-supervised vision transformers", 2023. Crops and noise are
    measured: `docs/results/domain.md`.

    Example:

    >>> statistics = keras_isd.data.ChannelStatistics((0.2,), (0.1,), (0, 4095))
    >>> view = keras_isd.augmentation.microscopy(32, statistics)
    >>> tuple(view(np.zeros((4, 40, 50, 1), "uint16")).shape)
    (4, 32, 32, 1)
    """
    channels = len(statistics[0])
    changes = [
        RandomOrientation(),
        IntensityJitter(channels, 0.4, 0.4, rate=0.8),
        SensorNoise(0.05, 0.0, rate=0.8),
    ]
    if channels > 1:
        changes.append(ChannelDropout(channels, 0.2, rate=0.2))
    changes += [GaussianBlur((0.1, 1.0), rate=blur)] if blur else []
    return _policy(RandomResizedCrop(size, (0.4, 1.0)), changes, statistics)


def pathology(size, statistics=IMAGENET, blur=0.5):
    """Makes views of tissue stained with haematoxylin and eosin: any orientation, other stains.

    Colours change by the stains' amounts instead of by hue, which no slide does.

    Args:
        size, statistics: see `weak`; three channels, RGB.
        blur: float, probability of blur. Defaults to 0.5.

    Returns:
        An `Augmenter`.

    Raises:
        ValueError: if the statistics are not those of three channels.

    Source: Kang et al., "Benchmarking self-supervised learning on diverse pathology datasets", CVPR
    2023 (eight orientations, jitter in the space of the stains); Tellez et al., "Quantifying the
    effects of data augmentation and stain color normalization", 2019.

    Example:

    >>> view = keras_isd.augmentation.pathology(32)
    >>> tuple(view(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    if len(statistics[0]) != 3:
        raise ValueError(
            "Argument `statistics` must be those of three channels, red, green and blue, which "
            f"show the stains. Received: {len(statistics[0])} channels"
        )
    changes = [
        RandomOrientation(),
        StainJitter(0.2, 0.02, rate=0.8),
        ColorJitter(0.2, 0.2, 0.2, 0.0, rate=0.5),
        Grayscale(0.1),
    ]
    changes += [GaussianBlur((0.1, 1.0), rate=blur)] if blur else []
    return _policy(RandomResizedCrop(size), changes, statistics)


def satellite(size, statistics=IMAGENET, blur=0.5):
    """Makes views of the ground from above: any orientation, other light in each band.

    Three channels, which are red, green and blue, get colour jitter without a change of hue; other
    bands get factors of their own, and some are left out.

    Args:
        size, statistics: see `weak`.
        blur: float, probability of blur. Defaults to 0.5.

    Returns:
        An `Augmenter`.

    Source: Wang et al., "SSL4EO-S12", 2023 (crops, brightness and contrast, grey, blur, flips) and
    Manas et al., "Seasonal contrast", ICCV 2021; quarter turns, since north means nothing.

    Example:

    >>> view = keras_isd.augmentation.satellite(32)
    >>> tuple(view(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    channels = len(statistics[0])
    if channels == 3:
        changes = [ColorJitter(0.4, 0.4, 0.2, 0.0, rate=0.8), Grayscale(0.2)]
    else:
        changes = [IntensityJitter(channels, 0.4, 0.4, rate=0.8)]
    if channels > 3:
        changes.append(ChannelDropout(channels, 0.2, rate=0.5))
    changes += [GaussianBlur((0.1, 2.0), rate=blur)] if blur else []
    return _policy(RandomResizedCrop(size), [RandomOrientation(), *changes], statistics)


def industry(size, statistics=IMAGENET, blur=0.0):
    """Makes views of surfaces and textures: any orientation, and other light; large crops.

    A crop keeps at least half of the image, so that small things stay in it, and the jitter is
    weak, since a defect may be a slight change of brightness.

    Args:
        size, statistics: see `weak`.
        blur: float, probability of blur, which can hide a defect. Defaults to 0.

    Returns:
        An `Augmenter`.

    Source: Reiss et al., "PANDA", CVPR 2021, and Roth et al., "Towards total recall in industrial
    anomaly detection", CVPR 2022, on the resolution and locality that defects need.

    Example:

    >>> view = keras_isd.augmentation.industry(32)
    >>> tuple(view(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    channels = len(statistics[0])
    changes = [
        RandomOrientation(),
        RandomAffine(rotation=10),
        IntensityJitter(channels, 0.2, 0.2, rate=0.8),
        IlluminationJitter(0.1, 0.2, rate=0.5),
        SensorNoise(0.02, 0.02, rate=0.5),
    ]
    changes += [GaussianBlur((0.1, 1.0), rate=blur)] if blur else []
    return _policy(RandomResizedCrop(size, area=(0.5, 1.0)), changes, statistics)


def _policy(crop, changes, statistics):
    """Makes an `Augmenter` of a crop, changes of pixels in [0, 255], and normalisation."""
    mean, std, *more = statistics
    value_range = more[0] if more else None
    normalize = more[1] if len(more) > 1 else "none"
    before = [] if DEGREES[normalize] is None else [NormalizeImage(DEGREES[normalize])]
    rescale = [] if value_range is None else [Rescale(*value_range)]
    return Augmenter([*before, crop, *rescale, *changes, Normalize(mean, std)])
