"""Aligns two images that may show the same pixels: turned, flipped, cropped or slightly rotated."""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from PIL import Image

COARSE_SIZE = 32  # longer side in pixels at which all scales and rotations are tried
CANVAS = 64  # of the coarse correlation, so that shifts do not wrap around
SCALES = (0.69, 0.78, 0.88, 1.0, 1.13, 1.28, 1.45)
DEGREES = (-6.0, -2.0, 2.0, 6.0)
MIN_OVERLAP = 0.45  # of the smaller image's area
MIN_CORRELATION = 0.25  # of a coarse alignment; that of different images is rarely above it
DETAIL_SIGMA = 2.5  # pixels; coarser differences, such as brightness, are removed
FLAT_RANGE = 0.02  # contrast of a flat area, relative to the range of the image
REFINING_STEPS = 8
ORIENTATIONS = 8  # flips and quarter turns


class Alignment(NamedTuple):
    """A map from places `(y, x, 1)` of one image to places of an oriented other image.

    Places are measured from the centre of the pixels, in units of half the longer side.
    """

    correlation: float
    orientation: int
    matrix: np.ndarray

    @property
    def is_likely(self):
        """Whether the images may be copies, so that a comparison is needed."""
        return self.correlation >= MIN_CORRELATION


def orient(image, orientation):
    """Flips and transposes an image `(H, W, ...)` by one of the eight orientations."""
    if orientation & 4:
        image = image.swapaxes(0, 1)
    if orientation & 2:
        image = image[::-1]
    return image[:, ::-1] if orientation & 1 else image


def to_planes(image, size):
    """Shrinks an image so that its longer side has at most `size` pixels: float32 `(C, h, w)`."""
    height, width = image.shape[:2]
    scale = min(1, size / max(height, width))
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    channels = np.moveaxis(image, -1, 0) if image.ndim == 3 else image[None]
    planes = (Image.fromarray(np.ascontiguousarray(plane, "float32")) for plane in channels)
    return np.stack([np.asarray(p.resize(shape[::-1], Image.Resampling.BICUBIC)) for p in planes])


def detail(grey, sigma=DETAIL_SIGMA):
    """Removes brightness and coarse shades, and equalises the contrast of the rest.

    So a strong edge, such as a frame that all images share, counts as much as a weak texture. Areas
    with a contrast below two hundredths of the image's range count less, because compression
    removes them.
    """
    from scipy.ndimage import gaussian_filter

    fine = gaussian_filter(grey, 0.6)
    fine = fine - gaussian_filter(fine, sigma)
    energy = gaussian_filter(fine**2, 2 * sigma)
    low, high = np.percentile(grey, [1, 99])
    floor = 0.1 * np.median(energy) + (FLAT_RANGE * (high - low)) ** 2
    return fine / np.sqrt(energy + floor + 1e-20)


class CoarseAligner:
    """Aligns other small images with one, by correlation over all scales, rotations and shifts."""

    def __init__(self, grey):
        self._shape = grey.shape
        self._spectra = np.fft.rfft2(_warp_all(detail(grey)))

    def align(self, other, orientation):
        from scipy.fft import irfft2

        other = orient(other, orientation)
        spectrum = np.fft.rfft2(detail(other), (CANVAS, CANVAS))
        found = irfft2(self._spectra.conj() * spectrum, (CANVAS, CANVAS))
        found *= _overlap_weight(self._shape, other.shape)
        best = np.unravel_index(found.argmax(), found.shape)
        warp = _hypotheses(self._shape)[best[0]]
        shift = [s - CANVAS if s >= CANVAS // 2 + 8 else s for s in best[1:]]
        return Alignment(
            float(found[best]), orientation, _to_matrix(warp, shift, self._shape, other.shape)
        )


@functools.lru_cache(64)
def _hypotheses(shape):
    """Linear parts of the coarse alignments, from places of the canvas to those of an image."""
    found = []
    for scale, degrees in itertools.product(SCALES, DEGREES):
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        found.append(turn / scale)
    return np.array(found)


def _warp_all(image):
    """Scales and rotates an image around its centre by each hypothesis: `(H, CANVAS, CANVAS)`."""
    from scipy.ndimage import map_coordinates

    places = _places(image.shape)
    return map_coordinates(image, places, order=1, cval=0.0, prefilter=False).astype("float32")


CENTRE = (COARSE_SIZE - 1) / 2  # of a warped image on the canvas; larger ones are cut off


@functools.lru_cache(64)
def _places(shape):
    """Where each pixel of the canvas lies in an image of this shape, by each hypothesis."""
    grid = np.indices((CANVAS, CANVAS)).reshape(2, -1)
    # The canvas wraps around: its last places are those before the first.
    shifted = np.where(grid >= CANVAS - 8, grid - CANVAS, grid) - CENTRE
    centre = (np.array(shape)[:, None] - 1) / 2
    places = _hypotheses(shape) @ shifted + centre
    return np.moveaxis(places, 1, 0).reshape(2, -1, CANVAS, CANVAS)


@functools.lru_cache(256)
def _overlap_weight(shape, other):
    """Weight of the summed products, by hypothesis and shift; 0 if few pixels overlap.

    One over the overlap would make a mean. A smaller overlap correlates by chance more often, so
    its mean is multiplied by the root of its share of the smaller image.
    """
    mask = _warp_all(np.ones(shape, "float32"))
    spectrum = np.fft.rfft2(np.ones(other, "float32"), (CANVAS, CANVAS))
    overlap = np.fft.irfft2(np.fft.rfft2(mask).conj() * spectrum, (CANVAS, CANVAS))
    area = np.minimum(mask.sum((1, 2), keepdims=True), np.prod(other))
    weight = 1 / np.sqrt(np.maximum(overlap, 1) * area)
    return np.where(overlap >= MIN_OVERLAP * area, weight, 0).astype("float32")


def _to_matrix(warp, shift, shape, other):
    """The matrix of an alignment in relative places, from a hypothesis and a shift in pixels."""
    # Canvas pixel c shows place warp @ (c - CENTRE) of the image, and meets pixel c + shift of the
    # other one.
    inverse = np.linalg.inv(warp)
    offset = CENTRE + np.array(shift, float) - (np.array(other) - 1) / 2
    half, other_half = max(shape) / 2, max(other) / 2
    return np.hstack([inverse * half / other_half, offset[:, None] / other_half])


def refine(image, other, matrix, steps=REFINING_STEPS):
    """Improves an alignment of two planes of detail by Gauss-Newton steps."""
    grid = _relative_grid(image.shape)
    y, x = grid[0], grid[1]
    for _ in range(steps):
        warped, is_inside = warp(other, matrix, image.shape)
        gradient = np.gradient(warped)
        half = max(image.shape) / 2
        rise, run = (half * g[is_inside] for g in gradient)
        inside_y, inside_x = y[is_inside], x[is_inside]
        if len(rise) < 32:
            return matrix
        jacobian = np.stack(
            [rise * inside_y, rise * inside_x, rise, run * inside_y, run * inside_x, run]
        )
        seen, expected = warped[is_inside], image[is_inside]
        gain = max(expected @ seen / (seen @ seen + 1e-12), 0.3)
        normal = jacobian @ jacobian.T * gain
        change = np.linalg.solve(
            normal + 1e-4 * np.trace(normal) / 6 * np.eye(6) + 1e-12 * np.eye(6),
            jacobian @ (expected - gain * seen),
        )
        change = np.clip(change, -0.1, 0.1).reshape(2, 3)
        matrix = compose(matrix, change + np.eye(2, 3))
        if np.abs(change).max() < 0.05 / half:
            break
    return matrix


def compose(matrix, first):
    """The map that applies `first`, then `matrix`."""
    return matrix[:, :2] @ first + np.array([[0, 0, 1]]) * matrix[:, 2:]


@functools.lru_cache(64)
def _relative_grid(shape):
    grid = np.indices(shape).astype("float32")
    return (grid - (np.array(shape)[:, None, None] - 1) / 2) / (max(shape) / 2)


def warp(plane, matrix, shape, order=1):
    """Samples a plane at the places of another shape: the pixels, and which lie inside."""
    from scipy.ndimage import map_coordinates

    grid = _relative_grid(shape)
    places = np.einsum("ij,jhw->ihw", matrix[:, :2], grid) + matrix[:, 2, None, None]
    places = places * (max(plane.shape) / 2)
    places += (np.array(plane.shape)[:, None, None] - 1) / 2
    last = np.array(plane.shape)[:, None, None] - 1
    is_inside = ((places >= 0) & (places <= last)).all(axis=0)
    return map_coordinates(plane, places, order=order, mode="nearest"), is_inside
