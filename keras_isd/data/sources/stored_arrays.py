"""Makes sources of arrays of images in HDF5 files and Zarr stores."""

import os

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.sources.function import RowNames, from_function
from keras_isd.data.sources.recent_items import RecentItems

CHUNK_BYTES = 2**26  # of decompressed parts of an HDF5 file that stay in memory


def from_hdf5(file, images="images", labels=None, group=None, **options):
    """Makes a source of the images in an HDF5 file (extra `[hdf5]`).

    Images are read when they are needed. A part of the file ("chunk") that holds several images is
    decompressed as a whole: one image to a chunk is fastest.

    Args:
        file: path of a local file.
        images: str, the name of its array `(N, H, W)` or `(N, H, W, C)`, or of its N image files:
            bytes, or uint8 of variable length; None for its only array of images. Defaults to
            `"images"`.
        labels: str, the name of an array of N integers, with -1 for unknown labels, or N class
            names; or these labels themselves; or None. Defaults to None.
        group: str, the name of an array of N groups, such as plates or patients; or the groups
            themselves; or None. Defaults to None.
        **options: `class_names`, `on_error`, `channels`, `dtype` and `decode`, see `from_folder`.

    Returns:
        An `ImageSource`, whose names are such as `data.h5[7]`.

    Raises:
        ImportError: if the extra is not installed.
        ValueError: if the file is no HDF5 file, lacks an array, or an array has another shape.

    Example:

    >>> import h5py, pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "data.h5")
    >>> with h5py.File(file, "w") as arrays:
    ...     arrays["images"], arrays["labels"] = np.zeros((4, 8, 9), "uint8"), [0, 1, 1, -1]
    >>> source = keras_isd.data.from_hdf5(file, labels="labels")
    >>> len(source), source[2].shape, source.labels.tolist()
    (4, (8, 9, 3), [0, 1, 1, -1])
    """
    with needs_extra("hdf5"):
        import h5py  # noqa: F401
    return _from_arrays("file", _open_hdf5, file, "images", images, labels, group, options)


def from_zarr(store, array=None, labels=None, group=None, **options):
    """Makes a source of a stack of images in a Zarr store (extra `[zarr]`).

    Images are read when they are needed. A chunk that holds several images is decompressed as a
    whole: one image to a chunk is fastest.

    Args:
        store: path or URL of an array, or of a group of arrays.
        array: str, the path of the array `(N, H, W)` or `(N, H, W, C)` in the group; None for the
            store's only array of images. Defaults to None.
        labels: see `from_hdf5`. Defaults to None.
        group: see `from_hdf5`. Defaults to None.
        **options: `class_names`, `on_error`, `channels`, `dtype` and `decode`, see `from_folder`.

    Returns:
        An `ImageSource`, whose names are such as `data.zarr[7]`.

    Raises:
        ImportError: if the extra is not installed.
        ValueError: if the store has no such array, or it has another shape.

    Example:

    >>> import pathlib, tempfile, zarr
    >>> store = pathlib.Path(tempfile.mkdtemp(), "data.zarr")
    >>> _ = zarr.create_array(store, data=np.zeros((4, 8, 9), "uint8"), chunks=(1, 8, 9))
    >>> source = keras_isd.data.from_zarr(store, labels=[0, 1, 1, -1])
    >>> len(source), source[2].shape
    (4, (8, 9, 3))
    """
    with needs_extra("zarr"):
        import zarr  # noqa: F401
    return _from_arrays("store", _open_zarr, store, "array", array, labels, group, options)


class StoredImages:
    """Reads the images of an array in a file, which is opened once in each process.

    Args:
        open_file: function from the path to the open file.
        place: str, the path.
        array: str, the name of the array; None if the file is an array itself.
    """

    def __init__(self, open_file, place, array):
        self._arguments = open_file, place, array
        self._place, self._array = place, array
        self._files = RecentItems(open_file, lambda file: 1, 1)

    def array(self):
        """The open array."""
        file = self._files(self._place)
        return file if self._array is None else file[self._array]

    def __call__(self, row):
        image = self.array()[row]
        if isinstance(image, np.void) or (np.ndim(image) == 1 and image.dtype == "uint8"):
            return image.tobytes()  # the contents of an image file
        return image if isinstance(image, bytes) else np.asarray(image)

    def __reduce__(self):
        return StoredImages, self._arguments


def _open_hdf5(path):
    import h5py

    return h5py.File(path, "r", rdcc_nbytes=CHUNK_BYTES)


def _open_zarr(path):
    import zarr

    return zarr.open(path, mode="r")


def _from_arrays(argument, open_file, place, images_argument, images, labels, group, options):
    """Makes a source of an array, with labels and groups from other arrays of the same file."""
    place = os.fspath(place)
    arrays = _open_arrays(argument, open_file, place)
    if images is None:
        stacks = [name for name, array in arrays.items() if array.ndim in (3, 4)]
        images = stacks[0] if len(stacks) == 1 else "the only array of images"
    if not _holds_images(arrays.get(images)):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"Argument `{images_argument}` must name an array of images, (N, H, W) or "
            f"(N, H, W, C). Received: {images}, and {place} has {shapes or 'no arrays'}"
        )
    count = arrays[images].shape[0]
    return from_function(
        StoredImages(open_file, place, images),
        count,
        _read_column("labels", labels, arrays),
        groups=_read_column("group", group, arrays),
        names=RowNames([place], [count]),
        **options,
    )


def list_names(place):
    """The names of the arrays in an HDF5 file or, if its name ends in .zarr, a Zarr store."""
    is_zarr = place.endswith(".zarr")
    with needs_extra("zarr" if is_zarr else "hdf5"):
        arrays = _open_arrays("place", _open_zarr if is_zarr else _open_hdf5, place)
    return [name for name in arrays if name is not None]


def _open_arrays(argument, open_file, place):
    """The arrays in a file at any depth, by name; the name is None if the file is an array."""
    try:
        file = open_file(place)
    except ModuleNotFoundError:
        raise
    # Each library has its own errors for files that do not exist or have another format.
    except Exception as error:
        kind = "an HDF5 file" if open_file is _open_hdf5 else "a Zarr store"
        raise ValueError(
            f"Argument `{argument}` must be {kind}. Received: {place}: {error}"
        ) from error
    if hasattr(file, "shape"):
        return {None: file}
    found = {}
    if hasattr(file, "visititems"):  # of HDF5
        file.visititems(lambda name, item: found.update({name: item}))
    else:
        found.update(file.members(max_depth=None))
    return {name: item for name, item in sorted(found.items()) if hasattr(item, "shape")}


def _holds_images(array):
    """Whether an array is a stack of images, or a list of image files."""
    if array is None:
        return False
    return array.ndim in (3, 4) or (array.ndim == 1 and array.dtype.kind in "OV")


def _read_column(argument, values, arrays):
    """The labels or groups that an argument names, or has itself; or None."""
    if not isinstance(values, str):
        return values
    if values not in arrays:
        raise ValueError(
            f"Argument `{argument}` must name an array. "
            f"Received: {values}, and the arrays are {', '.join(map(str, arrays))}"
        )
    column = arrays[values]
    if hasattr(column, "asstr") and column.dtype.kind == "O":
        column = column.asstr()
    found = np.asarray(column[:])
    return found.ravel() if found.size == len(found) else found  # such as (N, 1, 1, 1)
