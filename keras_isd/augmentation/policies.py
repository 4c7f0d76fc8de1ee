"""The views of the paper.

Each recipe is an `Augmenter`: images `(B, H, W, 3)` with values in [0, 255] to views
`(B, size, size, 3)`, float32, normalised. The paper's four pairings are the pairs of `weak` and
`strong` as query and key; its best is a strong query and a weak key.
"""

from keras_isd.augmentation.augmenter import Augmenter
from keras_isd.augmentation.blur import GaussianBlur
from keras_isd.augmentation.color import ColorJitter, Grayscale, Normalize, Solarize
from keras_isd.augmentation.geometry import CentralCrop, HorizontalFlip, RandomResizedCrop

# Channel means and standard deviations, for images in [0, 1].
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def weak(size, statistics=IMAGENET):
    """Random resized crop of area 0.2 to 1, and horizontal flip.

    Args:
        size: int, side of the square view in pixels.
        statistics: pair of channel means and standard deviations, for [0, 1].

    Returns:
        An `Augmenter`.

    Source: `aug_weak` in the authors' `train_isd_plus.py`.

    Example:

    >>> tuple(keras_isd.augmentation.weak(32)(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    return Augmenter([RandomResizedCrop(size), HorizontalFlip(), Normalize(*statistics)])


def strong(size, statistics=IMAGENET, blur=0.5, solarize=0.0):
    """As `weak`, with colour jitter, random grayscale and Gaussian blur.

    Args:
        size: int, side of the square view in pixels.
        statistics: pair of channel means and standard deviations, for [0, 1].
        blur: float, probability of blur. For images of 32 pixels it is usually left out: 0.
        solarize: float, probability of solarisation. BYOL's two views are
            `strong(224, blur=1.0)` and `strong(224, blur=0.1, solarize=0.2)`.

    Returns:
        An `Augmenter`.

    Source: `aug_strong` in the authors' `train_isd_plus.py`: jitter (0.4, 0.4, 0.4,
    0.1) with probability 0.8, grayscale 0.2, blur of sigma 0.1 to 2 with 0.5.

    Example:

    >>> tuple(keras_isd.augmentation.strong(32, blur=0)(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    chain = [RandomResizedCrop(size), ColorJitter(0.4, 0.4, 0.4, 0.1, rate=0.8), Grayscale(0.2)]
    if blur:
        chain.append(GaussianBlur((0.1, 2.0), rate=blur))
    if solarize:
        chain.append(Solarize(solarize))
    return Augmenter([*chain, HorizontalFlip(), Normalize(*statistics)])


def evaluation(size, statistics=IMAGENET, fraction=1.0):
    """Takes the central square, resizes it to `size` and normalises; nothing is random.

    Args:
        size: int, side of the square view in pixels.
        statistics: pair of channel means and standard deviations, for [0, 1].
        fraction: float, side of the square by the image's shorter side. ImageNet's custom, to
            resize the shorter side to 256 and crop 224, is `evaluation(224, fraction=224 / 256)`.

    Returns:
        An `Augmenter`.

    Example:

    >>> tuple(keras_isd.augmentation.evaluation(32)(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """
    return Augmenter([CentralCrop(size, fraction), Normalize(*statistics)])
