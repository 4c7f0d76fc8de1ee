"""Groups of copies of an image, each verified on the images' pixels."""

import concurrent.futures
import hashlib
from typing import NamedTuple

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.exploration.comparison import Comparison, Glimpse, compare_images, to_grey
from keras_isd.exploration.duplicates import find_close_pairs, find_similar_pairs
from keras_isd.exploration.hashes import find_similar_hashes, hash_orientations
from keras_isd.similarity.exact import unit_rows
from keras_isd.validation.arguments import check_in_range, check_positive_integer
from keras_isd.validation.features import check_features

# Copies of photographs and of fine textures (JPEG of quality 20 to 60, three quarters of each side,
# five degrees) had confidences from 0.4, mostly above 0.7, and pairs of different images at most
# 0.1; with another object of an eighth of the side in one of them, at most 0.4.
MIN_CONFIDENCE = 0.4
IMPLAUSIBLE_SHARE = 1 / 3  # of the images are copies with other pixels
THREADS = 8
SAME = Comparison(1.0, "same pixels")


class Copies(NamedTuple):
    """Verified groups of copies.

    Attributes:
        groups: list of int arrays, the rows of each group, the one to keep first; the largest group
            first.
        comparisons: list of lists of `Comparison`, of each image of a group with the one to keep:
            `confidence` in [0, 1] and `difference`, such as `"flipped cropped"`.
        candidates: int, number of pairs that were compared.
        unreadable: list of rows whose images could not be read; they are in no group.
        warning: str, why the groups are implausible as a whole; empty if they are not.
        pairs: list of triples of two rows and their `Comparison`, all verified pairs, also those
            whose images are in different groups; rows with the same pixels are paired with one of
            them.
    """

    groups: list
    comparisons: list
    candidates: int
    unreadable: list
    warning: str
    pairs: list


class _Summary(NamedTuple):
    """The facts about an image that are kept in memory."""

    digest: bytes
    is_flat: bool
    small: np.ndarray
    hashes: np.ndarray


def find_copies(
    images,
    features=None,
    ratio=0.6,
    k=10,
    similarity=None,
    prefer=None,
    approximate=False,
    min_confidence=MIN_CONFIDENCE,
):
    """Finds copies of images and verifies each on the pixels.

    Candidates are images with similar perceptual hashes in any of eight orientations, and images
    whose features are nearer to each other than usual. Each pair of candidates is aligned (flips,
    quarter turns, crops of up to about a third of each side, rotations of up to about eight
    degrees) and compared. It is a pair of copies if details, shades and colours agree everywhere in
    the overlap, up to one brightness and one contrast. So two pieces of one texture, two
    photographs of one scene, or the same scene with another object are not copies. An image without
    any detail is only a copy of one with the same pixels.

    Every image of a group is a verified copy of the image to keep.

    Args:
        images: `keras_isd.data.ImageSource`, or another sequence of N images `(H, W)` or
            `(H, W, C)` of any type and range.
        features: `(N, F)` array; None to find candidates by their hashes only. Defaults to None.
        ratio: float in (0, 1], see `find_duplicates`; a larger ratio gives more candidates.
            Defaults to 0.6.
        k: int, number of the nearest images that are considered for an image. Defaults to 10.
        similarity: float in (0, 1], a fixed minimum cosine of candidates instead of `ratio`.
            Defaults to None.
        prefer: `(N,)` numbers, such as file sizes: the image with the most verified copies is kept,
            and of several such, or of images with the same pixels, the one with the largest number.
            Defaults to None.
        approximate: bool, see `find_neighbors`. Defaults to False.
        min_confidence: float in [0, 1], minimum confidence of copies. Defaults to 0.4.

    Returns:
        `Copies`.

    Raises:
        ImportError: if ImageHash or SciPy is not installed.
        ValueError: if no image can be read, or an argument is outside its range.

    Example:

    >>> random = np.random.RandomState(0)
    >>> images = random.randint(0, 256, (4, 64, 64)).astype("uint8")
    >>> images[3] = images[1, :, ::-1]
    >>> found = keras_isd.exploration.find_copies(images)
    >>> found.groups, found.comparisons[0][1].difference
    ([array([1, 3])], 'flipped')
    """
    _check(images, features, ratio, k, similarity, prefer, min_confidence)
    with needs_extra("explore"):
        import scipy.ndimage  # noqa: F401

    read = _make_reader(images)
    summaries = _summarize(read, len(images))
    unreadable = [row for row, summary in enumerate(summaries) if summary is None]
    equal = _group_equal(summaries)
    first = np.array(sorted(equal), int)

    def find_near(rows):
        chosen = np.asarray(features)[rows]
        if similarity is not None:
            return find_similar_pairs(unit_rows(chosen), similarity)
        return find_close_pairs(chosen, ratio, min(k, len(rows) - 1), approximate)

    pairs, alike = _find_candidates(summaries, first, k, None if features is None else find_near)
    verified = _verify(read, summaries, pairs, alike, min_confidence)
    weight = np.zeros(len(images)) if prefer is None else np.asarray(prefer, float)
    groups, comparisons = _make_groups(equal, verified, weight)
    warning = _find_warning(comparisons, len(images))
    same = [(row, other, SAME) for row, rows in equal.items() for other in rows if other != row]
    changed = [(*rows, comparison) for rows, comparison in verified.items()]
    return Copies(groups, comparisons, len(pairs), unreadable, warning, same + changed)


def _check(images, features, ratio, k, similarity, prefer, min_confidence):
    check_in_range("ratio", ratio, np.nextafter(0, 1), 1)
    if similarity is not None:
        check_in_range("similarity", similarity, np.nextafter(0, 1), 1)
    check_in_range("min_confidence", min_confidence, 0, 1)
    check_positive_integer("k", k)
    if features is not None:
        check_features(features=features)
    for name, values in {"features": features, "prefer": prefer}.items():
        if values is not None and len(values) != len(images):
            raise ValueError(
                f"Argument `{name}` must have a row for each image. "
                f"Received: {len(values)} rows, {len(images)} images"
            )


def _make_reader(images):
    """A function from a row to its image, or to None if it cannot be read."""
    if not isinstance(images, ImageSource):
        return lambda row: np.asarray(images[row])

    def read(row):
        image, read_row = images.read_one(row)
        return image if read_row == row else None

    return read


def _summarize(read, count):
    """Reads all images once, in threads; None for an image that cannot be read."""

    def summarize(row):
        image = read(row)
        if image is None:
            return None
        grey = to_grey(image)
        digest = hashlib.blake2b(repr((image.shape, image.dtype)).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(image).tobytes())
        small = Glimpse(grey).grey.astype("float32")
        is_flat = bool(grey.min() == grey.max())
        return _Summary(digest.digest(), is_flat, small, np.packbits(hash_orientations(grey), 1))

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(summarize, range(count)))


def _group_equal(summaries):
    """Rows with the same pixels, by the first of them."""
    first: dict[bytes, int] = {}
    equal: dict[int, list[int]] = {}
    for row, summary in enumerate(summaries):
        if summary is not None:
            equal.setdefault(first.setdefault(summary.digest, row), []).append(row)
    return equal


def _find_candidates(summaries, rows, k, find_near):
    """Pairs among different images that may be copies: `(P, 2)` ints, the smaller row first.

    `find_near` finds more pairs among rows by their features, or is None. The second result are the
    pairs with similar hashes.
    """
    rows = np.array([row for row in rows if not summaries[row].is_flat], int)
    if len(rows) < 2:
        return np.zeros((0, 2), int), set()
    hashes = np.unpackbits(np.stack([summaries[row].hashes for row in rows]), axis=2).astype(bool)
    pairs = find_similar_hashes(hashes, k)
    alike = set(map(tuple, rows[np.sort(pairs, axis=1)].tolist()))
    if find_near is not None:
        pairs = np.concatenate([pairs, np.stack(find_near(rows), axis=1)])
    return rows[np.unique(np.sort(pairs, axis=1), axis=0)], alike


def _verify(read, summaries, pairs, alike, min_confidence):
    """The comparisons of all pairs that are copies, by pair; `alike` are those compared anyway."""

    def compare(row, others):
        """Compares an image with others, which are read only if a coarse alignment is good."""
        glimpse, image, found = Glimpse(summaries[row].small), None, {}
        for other in others:
            alignment = glimpse.align(Glimpse(summaries[other].small))
            # The alignment is of small images, where little is left of a fine texture.
            if alignment.is_likely or (row, other) in alike:
                image = read(row) if image is None else image
                comparison = compare_images(image, read(other), alignment)
                if comparison.confidence >= min_confidence:
                    found[row, other] = comparison
        return found

    partners: dict[int, list[int]] = {}
    for row, other in pairs.tolist():
        partners.setdefault(row, []).append(other)
    verified: dict[tuple[int, int], Comparison] = {}
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(compare, partners, partners.values()):
            verified |= found
    return verified


def _make_groups(equal, verified, weight):
    """Groups of rows, the one to keep first, and its comparison with each of the group.

    Copies of copies may differ too much from each other to be verified. So a group is an image with
    those that are verified against it, and the others form groups of their own.
    """
    linked = {row: {row: SAME} for row in equal}
    for (row, other), comparison in verified.items():
        linked[row][other] = linked[other][row] = comparison
    heaviest = {row: max(rows, key=lambda r: (weight[r], -r)) for row, rows in equal.items()}
    count = {row: sum(len(equal[other]) for other in others) for row, others in linked.items()}
    order = sorted(linked, key=lambda row: (-count[row], -weight[heaviest[row]], row))
    groups, comparisons = [], []
    grouped: set[int] = set()
    for kept in order:
        if kept in grouped:
            continue
        members = {row: about for row, about in linked[kept].items() if row not in grouped}
        lines = [(row, about) for first, about in members.items() for row in equal[first]]
        if len(lines) < 2:
            continue
        grouped |= members.keys()
        lines.sort(key=lambda line: (line[0] != heaviest[kept], -line[1].confidence, line[0]))
        groups.append(np.array([row for row, _ in lines]))
        comparisons.append([about for _, about in lines])
    largest = sorted(range(len(groups)), key=lambda i: -len(groups[i]))
    return [groups[i] for i in largest], [comparisons[i] for i in largest]


def _find_warning(comparisons, count):
    copies = sum(about != SAME for group in comparisons for about in group)
    if copies <= IMPLAUSIBLE_SHARE * count:
        return ""
    return (
        f"{copies:,} of {count:,} images would be changed copies of others, which is implausible: "
        "they may be frames of a film or photographs by a fixed camera"
    )
