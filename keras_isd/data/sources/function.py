"""Makes sources from a function that reads images by row number.

The sources of other libraries' files are made here, too: each has such a function.
"""

import bisect
import collections.abc
import itertools

from keras_isd.data.decoding.decoder import make_decoder
from keras_isd.data.decoding.formats import read_image
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.data.sources.labels import column_labels
from keras_isd.data.sources.storage import FilesByFunction
from keras_isd.validation.arguments import check_positive_integer


def from_function(
    read,
    count,
    labels=None,
    class_names=None,
    *,
    names=None,
    groups=None,
    group_names=None,
    on_error="skip",
    channels=None,
    dtype=None,
    decode=None,
):
    """Makes a source from a function that reads the image of a row.

    This is the way to write a source for files that this package does not know. Several threads
    call the function, for any row at any time. It is pickled for other processes: a function of a
    module can be, and so can an object with a method `__call__`.

    Args:
        read: function from a row (int in [0, N)) to an image: an array `(H, W)` or `(H, W, C)`, the
            contents of an image file (bytes), or a `PIL.Image.Image`. If it raises an error, the
            image counts as unreadable.
        count: int, N.
        labels: `(N,)` integers with -1 for unknown labels, or N class names (str) with None for
            unknown ones, or None. Defaults to None.
        class_names: list of str, the classes in the order of their labels; None for the names among
            `labels` in alphabetical order. Defaults to None.
        names: sequence of N str, all different, the images' names in reports; or None. Defaults to
            None.
        groups: `(N,)` integers >= 0 or names (str), what the images were taken with or in, such as
            plates or patients; or None. Defaults to None.
        group_names: list of str, names of integer groups, or None. Defaults to None.
        on_error: see `from_folder`. Defaults to `"skip"`.
        channels: see `from_folder`. Defaults to None.
        dtype: see `from_folder`. Defaults to None.
        decode: see `from_folder`; for bytes alone. Defaults to None.

    Returns:
        An `ImageSource`.

    Raises:
        ValueError: if `count` is no positive integer, labels, names or groups differ from it in
            number, or images differ in channels or data type and the argument is None.

    Example:

    >>> class Squares:
    ...     def __call__(self, row):
    ...         return np.full((8, 8, 3), row, "uint8")
    >>> source = keras_isd.data.from_function(Squares(), 5, labels=["a", "b", "a", None, "b"])
    >>> source[3].shape, source.labels, source.class_names
    ((8, 8, 3), array([ 0,  1,  0, -1,  1], dtype=int32), ['a', 'b'])
    """
    if not callable(read):
        raise ValueError(f"Argument `read` must be a function of a row. Received: {read=}")
    check_positive_integer("count", count)
    for name, values in {"labels": labels, "names": names, "groups": groups}.items():
        if values is not None and len(values) != count:
            raise ValueError(
                f"Argument `{name}` must have one for each image. "
                f"Received: {len(values)} {name}, {count} images"
            )
    if labels is not None:
        labels, class_names = column_labels(labels, class_names)
    files = FilesByFunction(read)
    shown = RowNames(["row"], [count]) if names is None else names
    decoder = make_decoder(files, shown, channels, dtype, decode)
    if files.has_arrays and decode is None:
        decoder.decode = read_image  # so that pipelines do not try TensorFlow, which reads no .npy
    source = ImageSource(
        files,
        labels,
        count,
        names=names,
        class_names=class_names,
        on_error=on_error,
        decoder=decoder,
    )
    return source if groups is None else source.with_groups(groups, group_names)


class RowNames(collections.abc.Sequence):
    """Names such as `data.h5[7]`, made when they are needed: a million of them take no memory.

    Args:
        places: list of str, what the rows are in, such as files.
        counts: list of int, the rows in each.
    """

    def __init__(self, places, counts):
        self._places = places
        self._ends = list(itertools.accumulate(counts))

    def __len__(self):
        return self._ends[-1]

    def __getitem__(self, row):
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        place, inside = self.find(row)
        return f"{self._places[place]}[{inside}]"

    def find(self, row):
        """The number of the place of a row, and the row within it."""
        if not -len(self) <= row < len(self):
            raise IndexError(f"Argument `row` must be in [0, {len(self)}). Received: {row=}")
        return find_part(self._ends, int(row) % len(self))


def find_part(ends, row):
    """The number of the part that has a row, and the row within it; `ends` are those of parts."""
    part = bisect.bisect_right(ends, row)
    return part, row - (ends[part - 1] if part else 0)
