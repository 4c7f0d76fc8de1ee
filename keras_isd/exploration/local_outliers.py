"""Outlier images by their most unusual patch, which finds small defects."""

from typing import NamedTuple

import numpy as np
from absl import logging

from keras_isd.compat.progress_bar import progress_bar
from keras_isd.data.decoding.resizing import limit_longer_side
from keras_isd.exploration.patches import CELL, SIDE, describe_patches
from keras_isd.validation.arguments import check_positive_integer, check_seed
from keras_isd.visualization.heat_maps import plot_heat_maps

GROUPS = 5  # of images, each with its own bank
MIN_IMAGES = 2 * GROUPS
SAMPLED_PATCHES = 40_000  # of all images, before the banks are thinned
MIN_VARIANCE = 1e-4  # relative to the sum of variances; directions with less count less


class LocalOutliers(NamedTuple):
    """Scores of N images by their patches.

    Attributes:
        scores: `(N,)` float32 array, the largest distance of each image's patches; NaN for an image
            that could not be read.
        places: `(N, 2)` int array, x and y in pixels of the centre of that patch.
        bank: `PatchBank`, whose `make_heat_map` shows where an image is unusual.
    """

    scores: np.ndarray
    places: np.ndarray
    bank: "PatchBank"

    def rows(self):
        """The rows of readable images, the strongest outlier first."""
        readable = self.bank.readable
        return readable[np.argsort(-self.scores[readable], kind="stable")]

    def plot(self, source, count=20, path=None):
        """Draws the strongest outliers with heat maps of their unusual places.

        Args:
            source: the `keras_isd.data.ImageSource` that was given to `find_local_outliers`.
            count: int, number of images. Defaults to 20.
            path: where to save the figure, or None. Defaults to None.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        rows = self.rows()[:count]
        images = [source[int(row)] for row in rows]
        maps = [self.bank.make_heat_map(image, row) for image, row in zip(images, rows)]
        limits = (np.nanmedian(self.scores), self.scores[rows].max())
        captions = [f"{self.scores[row]:.2f}" for row in rows]
        return plot_heat_maps(images, maps, limits, captions, path=path)


def find_local_outliers(source, bank_size=2000, max_side=512, seed=0, verbose="auto"):
    """Scores each image by the patch that is least like the patches of other images.

    A defect of a few pixels disappears when an image is resized to the size of training, and in the
    mean over a network's map. So patches of the images at their own resolution are compared: see
    `describe_patches` and `PatchBank`. No network and no image without defects is needed.

    Args:
        source: `keras_isd.data.ImageSource` of at least ten images.
        bank_size: int, number of patches that each patch is compared with. Defaults to 2000.
        max_side: int, pixels; a longer image is reduced to this longer side. Defaults to 512.
        seed: int, for the patches that are sampled. Defaults to 0.
        verbose: `"auto"`, 0 for no progress bar, 1, or 2. Defaults to `"auto"`.

    Returns:
        `LocalOutliers`.

    Raises:
        ValueError: if fewer than ten images can be read, or an argument is out of range.

    Example:

    >>> images = np.random.RandomState(0).randint(90, 110, (20, 40, 40, 3)).astype("uint8")
    >>> images[7, 10:16, 20:26] = 160
    >>> found = keras_isd.exploration.find_local_outliers(
    ...     keras_isd.data.from_arrays(images), verbose=0)
    >>> int(found.scores.argmax())
    7
    """
    bank = PatchBank(source, bank_size, max_side, seed)
    scores = np.full(len(source), np.nan, "float32")
    places = np.zeros((len(source), 2), "int64")
    progress = progress_bar(len(source), verbose)
    for row in bank.readable:
        image, _ = source.read_one(row)
        distances = bank.measure_distances(image, row)
        i, j = np.unravel_index(distances.argmax(), distances.shape)
        scores[row] = distances[i, j]
        center = np.array([j, i]) * CELL + CELL * SIDE / 2
        size = np.array(image.shape[1::-1])
        places[row] = np.minimum(center * max(1, size.max() / max_side), size - 1)
        progress.update(int(row) + 1)
    progress.update(len(source), finalize=True)
    return LocalOutliers(scores, places, bank)


class PatchBank:
    """Patches of a set of images, with which the patches of an image are compared.

    The images are divided at random into five groups. Each has a bank: a sample of its patches,
    thinned by greedy k-centre, so that rare but regular patches stay in it. The distance of a
    patch to a group is that to the nearest patch of its bank; descriptors are whitened, so that the
    distance is Mahalanobis'. The distance of a patch is the median of those to the groups without
    its own image: neither the image itself, nor a copy of it or another image with the same defect
    in one other group, hides a defect.

    Args:
        source, bank_size, max_side, seed: see `find_local_outliers`.

    Attributes:
        readable: `(M,)` int array, the rows of images that could be read.
        group_of: `(N,)` int array, the group of each image.

    Source: Roth et al., "Towards total recall in industrial anomaly detection" (PatchCore), CVPR
    2022, for the bank; Defard et al., "PaDiM", 2021, for Mahalanobis' distance of patches.
    """

    def __init__(self, source, bank_size=2000, max_side=512, seed=0):
        check_positive_integer("bank_size", bank_size)
        check_positive_integer("max_side", max_side)
        check_seed("seed", seed)
        self.max_side = max_side
        generator = np.random.default_rng(seed)
        patches = self._sample_patches(source, generator)
        self.readable = np.array([*patches], "int64")
        if len(patches) < MIN_IMAGES:
            raise ValueError(
                f"Argument `source` must have at least {MIN_IMAGES} readable images. "
                f"Received: {len(patches)} of {len(source)}"
            )
        if missing := len(source) - len(patches):
            logging.warning("%d of %d images could not be read", missing, len(source))
        self.group_of = np.full(len(source), -1)
        self.group_of[self.readable] = generator.permutation(len(patches)) % GROUPS
        self._mean, self._whitening = _fit_whitening(np.concatenate([*patches.values()]))
        self._banks = []
        for group in range(GROUPS):
            found = [patches[row] for row in self.readable if self.group_of[row] == group]
            whitened = (np.concatenate(found) - self._mean) @ self._whitening
            chosen = thin_by_k_center(whitened, min(len(whitened), -(-bank_size // GROUPS)))
            self._banks.append(whitened[chosen])

    def _sample_patches(self, source, generator):
        """Samples patches of each readable image: dict from rows to arrays `(count, F)`."""
        count, sampled = max(1, SAMPLED_PATCHES // len(source)), {}
        for row in range(len(source)):
            image, read = source.read_one(row)
            if read == row:
                patches = self._describe(image)
                found = patches.reshape(-1, patches.shape[-1])
                sampled[row] = generator.permutation(found)[:count]
        return sampled

    def _describe(self, image):
        return describe_patches(limit_longer_side(image, self.max_side))

    def make_heat_map(self, image, row=None):
        """Makes the map of distances of the whole image; its border repeats the nearest ones.

        Args:
            image, row: see `measure_distances`.

        Returns:
            `(H // 4, W // 4)` float32 array, for an image of at least 20 pixels.
        """
        return np.pad(self.measure_distances(image, row), SIDE // 2, mode="edge")

    def measure_distances(self, image, row=None):
        """Computes the distances of the patches of an image, or of its reduced copy.

        Args:
            image: `(H, W, C)` array.
            row: int, the image's row in the source, so that it is not compared with itself; None
                for another image. Defaults to None.

        Returns:
            `(rows, columns)` float32 array, see `describe_patches`.
        """
        patches = self._describe(image)
        flat = (patches.reshape(-1, patches.shape[-1]) - self._mean) @ self._whitening
        own = -1 if row is None else self.group_of[row]
        banks = [bank for group, bank in enumerate(self._banks) if group != own]
        distances = [_nearest_distances(flat, bank) for bank in banks]
        return np.median(distances, axis=0).reshape(patches.shape[:2])


def thin_by_k_center(points, count):
    """Chooses points so that each next one is the farthest from those chosen before.

    Args:
        points: `(N, F)` array.
        count: int in [1, N].

    Returns:
        `(count,)` int array of rows, the one nearest to the mean first.

    Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.

    Example:

    >>> points = np.array([[0.0], [1.0], [2.0], [10.0], [5.0]])
    >>> thin_by_k_center(points, 3).tolist()
    [4, 0, 3]
    """
    squares = np.einsum("nf,nf->n", points, points)
    chosen = [int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        last = chosen[-1]
        distances = squares - 2 * points @ points[last] + squares[last]
        nearest = np.minimum(nearest, distances)
        nearest[last] = -np.inf  # rounding must not choose it again
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


def _fit_whitening(patches):
    """Fits the mean, and the matrix to directions of variance one."""
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(patches.T.astype("float64")))
    least = max(MIN_VARIANCE * values.sum(), np.finfo("float32").tiny)
    return mean, (vectors / np.sqrt(np.maximum(values, least))).astype("float32")


def _nearest_distances(points, bank):
    """Finds each point's distance to the nearest point of a bank: `(N,)` float32 array."""
    squares = np.einsum("nf,nf->n", bank, bank) - 2 * points @ bank.T
    nearest = squares.min(axis=1) + np.einsum("nf,nf->n", points, points)
    return np.sqrt(np.maximum(nearest, 0))
