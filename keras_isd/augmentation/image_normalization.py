"""Normalisation of each image by itself, before it is cropped."""

import keras
import numpy as np

from keras_isd.augmentation.geometry import crop_and_resize
from keras_isd.augmentation.operation import Operation, per_image, split_planes
from keras_isd.validation.arguments import check_in_range

GRID = 32  # side of the small image that the background is fitted to
FITS = 6
PEAK = 0.995  # quantile of the distances from the background that becomes 1
TEXTURE = 2.0  # standard deviations of the pixels that become 1 if they are more
RIDGE = 1e-3  # keeps a surface flat where it has no pixels to fit


@keras.saving.register_keras_serializable("keras_isd")
class NormalizeImage(Operation):
    """Takes an image's background off and divides by its spread, each channel by itself.

    Images of one kind may differ by how they were taken: exposure, stain, a slope of the
    illumination, the plate or the day. A network finds such differences first, since they are the
    easiest way to recognise an image, and its neighbours are then images of the same day.

    The background is a polynomial of the place, fitted again and again to the pixels that lie
    nearest to it, so that the objects on it, bright or dark, do not matter: half of the pixels
    count fully, and those at more than twice the median distance not at all.
    The spread is the distance from the background that 0.5 % of the pixels exceed, or two standard
    deviations if these are more, as they are for noise and texture. Both are measured on a small
    copy of the image, of 32 pixels a side. The result is about 0 for background and mostly within
    [-1, 1]; a constant image becomes 0.

    It belongs before the crop, since a part of an image may lack the background.

    Args:
        degree: int, the polynomial's degree: 0 takes off the median alone, 1 a plane, 2 a curved
            surface. Defaults to 2.

    Raises:
        ValueError: if `degree` is not 0, 1 or 2.

    Source: Holland and Welsch, "Robust regression using iteratively reweighted least-squares",
    1977.

    Example:

    >>> flat = keras_isd.augmentation.Augmenter([keras_isd.augmentation.NormalizeImage(degree=1)])
    >>> slope = np.arange(64.0)[:, None] * np.ones((64, 64)) + 300
    >>> slope[20:24, 20:24] += 100
    >>> view = np.asarray(flat(slope[..., None]))[..., 0]
    >>> bool(abs(np.median(view)) < 0.05), bool(view[21, 21] > 0.8)
    (True, True)
    """

    def __init__(self, degree=2):
        check_in_range("degree", degree, 0, 2)
        self.degree = int(degree)

    def apply(self, xp, images):
        height, width = (xp.cast(xp.shape(images)[axis], "float32") for axis in (1, 2))
        zeros = 0.0 * images[:, 0, 0, 0]
        whole = {"top": zeros, "left": zeros, "height": zeros + height, "width": zeros + width}
        small = crop_and_resize(xp, images, **whole, size=GRID)
        return xp.stack(
            [
                self._normalize(xp, plane, xp.reshape(grid, (-1, GRID * GRID)))
                for plane, grid in zip(split_planes(images), split_planes(small))
            ],
            axis=-1,
        )

    def _normalize(self, xp, plane, grid):
        """A channel `(B, H, W)`, normalised by its small copy `(B, GRID * GRID)`."""
        median = _quantile(xp, grid, 0.5)
        grid = grid - median
        plane = plane - per_image(median[:, 0])
        if self.degree:
            coefficients = self._fit(xp, grid)
            grid = grid - xp.matmul(coefficients, _polynomials(self.degree).T)
            plane = plane - self._surface(xp, coefficients, plane)
        peak = _quantile(xp, xp.abs(grid), PEAK)[:, 0]
        texture = TEXTURE * xp.sqrt(xp.mean(plane * plane, axis=(1, 2)))
        # A constant image has nothing left but the rounding of its values.
        rounding = 1e-5 * (xp.abs(median[:, 0]) + xp.cast(1e-20, "float32"))
        return plane / per_image(xp.maximum(xp.maximum(peak, texture), rounding))

    def _fit(self, xp, grid):
        """Coefficients `(B, P)` of the polynomial, from the pixels that lie nearest to it."""
        terms = _polynomials(self.degree)
        count = terms.shape[1]
        products = (terms[:, :, None] * terms[:, None]).reshape(-1, count * count)
        ridge = RIDGE * len(terms) * np.diag([0.0] + [1.0] * (count - 1)).astype("float32")
        residual, coefficients = grid, None
        scale = xp.maximum(_quantile(xp, xp.abs(grid), 1.0), 1e-30)
        for _ in range(FITS):
            distance = xp.abs(residual)
            usual = xp.maximum(_quantile(xp, distance, 0.5), 1e-6 * scale)
            # A weight without a jump, so that rounding does not decide which pixels count.
            weights = xp.clip(2.0 - distance / usual, 0.0, 1.0)
            matrix = xp.reshape(xp.matmul(weights, products), (-1, count, count))
            vector = xp.matmul(weights * grid, terms)
            coefficients = _solve(xp, matrix + xp.convert_to_tensor(ridge), vector)
            residual = grid - xp.matmul(coefficients, terms.T)
        return coefficients

    def _surface(self, xp, coefficients, plane):
        """The polynomial `(B, H, W)` at the pixels of a plane."""
        y, x = (pixel_places(xp, xp.shape(plane)[axis]) for axis in (1, 2))
        terms = surface_terms(self.degree, y[None, :, None], x[None, None])
        return sum(per_image(coefficients[:, i]) * term for i, term in enumerate(terms))


def pixel_places(xp, side):
    """Centres of pixels, from -1 to 1 over the side."""
    length = xp.cast(side, "float32")
    return (2.0 * xp.cast(xp.arange(side), "float32") + 1.0) / length - 1.0


def surface_terms(degree, y, x):
    """Legendre polynomials of the place, nearly orthogonal over an image."""
    terms = [1.0 + 0.0 * y * x, y + 0.0 * x, x + 0.0 * y]
    if degree == 2:
        terms += [y * x, 1.5 * y * y - 0.5 + 0.0 * x, 1.5 * x * x - 0.5 + 0.0 * y]
    return terms


def _polynomials(degree):
    """The terms at the pixels of the small image, `(GRID * GRID, P)`."""
    place = (2.0 * np.arange(GRID) + 1.0) / GRID - 1.0
    terms = surface_terms(degree, place[:, None], place[None])
    return np.stack([term.reshape(-1) for term in terms], axis=1).astype("float32")


def _quantile(xp, values, share):
    """The value `(B, 1)` at a share of the sorted values `(B, N)`."""
    place = int(share * (values.shape[1] - 1))
    return xp.sort(values, axis=-1)[:, place : place + 1]


def _solve(xp, matrix, vector):
    """Solves `(B, P, P)` positive definite systems by Gauss-Jordan elimination.

    Backends have different functions for this, and XLA on a CPU has none.
    """
    count = vector.shape[1]
    rows = xp.concatenate([matrix, vector[:, :, None]], axis=2)
    for pivot in range(count):
        is_pivot = np.arange(count)[:, None] == pivot
        row = rows[:, pivot : pivot + 1] / rows[:, pivot : pivot + 1, pivot : pivot + 1]
        others = rows - rows[:, :, pivot : pivot + 1] * row
        rows = xp.where(is_pivot, row, others)
    return rows[:, :, count]
