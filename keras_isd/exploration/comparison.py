"""Compares two images pixel by pixel after they are aligned: are they copies of one image?"""

from typing import NamedTuple

import numpy as np

from keras_isd.exploration.registration import (
    COARSE_SIZE,
    ORIENTATIONS,
    CoarseAligner,
    detail,
    orient,
    refine,
    to_planes,
    warp,
)

WORKING_SIZE = 256  # longer side in pixels at which details are compared
SHADES_SIZE = 64  # longer side in pixels at which colours and shades are compared
THUMB_SIZE = 12  # longer side in pixels at which the likely orientations are chosen
TRIED_ORIENTATIONS = 3
MIN_REFINED_CORRELATION = 0.3  # at each size after refining; otherwise no larger size is tried
LUMA = np.array([0.299, 0.587, 0.114], "float32")
WINDOW = 1 / 32  # standard deviation of a neighbourhood, in longer sides
MIN_WINDOW = 2  # pixels; smaller neighbourhoods of small images are too noisy
# Added to the contrast of a neighbourhood, so that noise in flat ones is no difference.
FLAT_CONTRAST = 0.25
MIN_ANGLE = 0.5  # degrees that are called a rotation
MIN_CROP = 0.02  # share of the area that is called a crop
MIN_BRIGHTNESS = 0.1  # change of the mean in standard deviations, or of the contrast


class Comparison(NamedTuple):
    """The confidence in [0, 1] that two images are copies, and their differences in words."""

    confidence: float
    difference: str


class Glimpse:
    """A small version of an image, for a coarse alignment."""

    def __init__(self, grey):
        self.grey = to_planes(grey, COARSE_SIZE)[0]
        self._aligner = None

    def align(self, other):
        """The best coarse alignment of another `Glimpse` with this one."""
        self._aligner = self._aligner or CoarseAligner(self.grey)
        found = [self._aligner.align(other.grey, o) for o in _likely_orientations(self, other)]
        return max(found, key=lambda alignment: alignment.correlation)


def to_grey(image):
    """The luma of three channels, which JPEG keeps best, or else the mean of the channels."""
    image = np.nan_to_num(np.asarray(image, "float32"))
    if image.ndim == 2:
        return image
    return image @ LUMA if image.shape[-1] == 3 else image.mean(axis=-1)


def _likely_orientations(one, other):
    thumb = _standardize(to_planes(one.grey, THUMB_SIZE)[0])
    correlations = np.full(ORIENTATIONS, -np.inf)
    for orientation in range(ORIENTATIONS):
        turned = orient(other.grey, orientation)
        correlations[orientation] = _thumb_correlation(thumb, to_planes(turned, THUMB_SIZE)[0])
    return np.argsort(-correlations, kind="stable")[:TRIED_ORIENTATIONS]


def _thumb_correlation(thumb, other):
    height, width = np.minimum(thumb.shape, other.shape)
    return (_middle(thumb, height, width) * _standardize(_middle(other, height, width))).mean()


def _middle(image, height, width):
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _standardize(image):
    image = image - image.mean()
    return image / (image.std() + 1e-20)


def compare_images(image, other, alignment):
    """Compares two images `(H, W)` or `(H, W, C)`, given a coarse alignment.

    The alignment is refined from coarse to fine. The confidence is the smallest of three numbers:
    the correlation of details (which different images of one kind, such as textures, do not
    share), the agreement of details in the neighbourhood where they agree least (which an object
    in one of the images destroys), and the agreement of shades and colours, up to one contrast and
    one brightness for the whole image.
    """
    other = orient(other, alignment.orientation)
    grey, other_grey = to_grey(image), to_grey(other)
    size = min(WORKING_SIZE, max(max(grey.shape), max(other_grey.shape)))
    sizes = [s for s in (COARSE_SIZE, 64, 128) if s < size] + [size]
    matrix = alignment.matrix
    for step in sizes:
        one, two = (to_planes(g, step)[0] for g in (grey, other_grey))
        fine, other_fine = detail(one), detail(two)
        matrix = refine(fine, other_fine, matrix)
    # Only at the finest scale: copies of a fine texture agree in nothing that is coarse.
    warped, is_inside = warp(other_fine, matrix, fine.shape)
    if _correlation(fine[is_inside], warped[is_inside]) < MIN_REFINED_CORRELATION:
        return Comparison(0.0, "")
    warped, is_inside = warp(two, matrix, one.shape, order=3)
    details = _compare_details(fine, detail(warped), is_inside)
    shades, change = _compare_shades(image, other, matrix)
    confidence = float(np.clip(min(*details, shades), 0, 1))
    return Comparison(confidence, _describe(alignment.orientation, matrix, is_inside, change))


def _compare_details(fine, other, is_inside):
    """The correlation of details, and their agreement where it is least."""
    fine, other = fine * is_inside, other * is_inside
    blur = _Window(fine.shape, is_inside)
    both, one, two = blur(fine * other), blur(fine**2), blur(other**2)
    agreement = (2 * both + FLAT_CONTRAST) / (one + two + FLAT_CONTRAST)
    return _correlation(fine[is_inside], other[is_inside]), blur.minimum(agreement)


def _compare_shades(image, other, matrix):
    """The agreement of shades and colours where it is least, and the change of brightness."""
    planes, others = to_planes(image, SHADES_SIZE), to_planes(other, SHADES_SIZE)
    warped, inside = zip(*(warp(plane, matrix, planes.shape[1:]) for plane in others))
    is_inside = inside[0]
    one, two = planes[:, is_inside], np.stack(warped)[:, is_inside]
    gain, offset = np.polyfit(two.ravel() - two.mean(), one.ravel(), 1)
    errors = np.zeros(planes.shape[1:])
    errors[is_inside] = ((one - max(gain, 0) * (two - two.mean()) - offset) ** 2).mean(axis=0)
    blur = _Window(errors.shape, is_inside)
    agreement = 1 - blur(errors) / (one.var() + 1e-20)
    shift = abs(one.mean() - two.mean()) / (one.std() + 1e-20)
    contrast = abs(np.log((one.std() + 1e-20) / (two.std() + 1e-20)))
    return blur.minimum(agreement), max(shift, contrast)


class _Window:
    """Means over a neighbourhood of each pixel that lies inside."""

    def __init__(self, shape, is_inside):
        self._sigma = max(max(shape) * WINDOW, MIN_WINDOW)
        self._is_inside = is_inside
        self._weight = self._blur(is_inside.astype("float32"))

    def __call__(self, values):
        return self._blur(values) / np.maximum(self._weight, 1e-6)

    def minimum(self, values):
        chosen = self._is_inside & (self._weight > 0.5)
        return float(values[chosen].min()) if chosen.any() else 0.0

    def _blur(self, values):
        from scipy.ndimage import gaussian_filter

        return gaussian_filter(values, self._sigma, mode="constant")


def _correlation(one, other):
    norm = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / norm) if norm > 0 else 0.0


def _describe(orientation, matrix, is_inside, change):
    """The differences of copies, in words."""
    linear = matrix[:, :2]
    mirrored = bin(orientation).count("1") % 2 == 1
    angle = np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    area = is_inside.mean()
    words = {
        "flipped": mirrored,
        "turned": orientation and not mirrored,
        "rotated": abs(angle) > MIN_ANGLE,
        "cropped": abs(np.linalg.det(linear)) > 1 + MIN_CROP
        or abs(np.linalg.det(linear)) < 1 - MIN_CROP
        or area < 1 - 2 * MIN_CROP,
        "brightness": change > MIN_BRIGHTNESS,
    }
    return " ".join(word for word, is_so in words.items() if is_so) or "pixels"
