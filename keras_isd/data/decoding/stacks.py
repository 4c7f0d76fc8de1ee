"""Reads parts of arrays with named axes: NIfTI volumes, zarr and OME-Zarr, HDF5."""

import gzip
import io
import math
import os
import pathlib
import zlib
from typing import Any

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.decoding.formats import UnreadableImageError, check_size

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
GZIP_MAGIC = b"\x1f\x8b"
NIFTI_MAGIC = (b"n+1\0", b"n+2\0")  # in the file of the array itself
MAX_HEADER = 2**20  # bytes before the array of a compressed NIfTI
MIN_BYTES = 2**24  # that an open file counts, as for `TiffWindows`


class ArrayStack:
    """Reads parts of an array with named axes; it has the interface of `TiffWindows`.

    Args:
        levels: list of arrays, or objects with `shape`, `dtype` and `[...]` such as those of zarr:
            the levels of a pyramid, the largest first.
        axes: str, a letter for each axis: Y, X, S for the samples of a pixel, and others such as T,
            Z and C.
        num_bytes: int, the memory that it takes. Defaults to `MIN_BYTES`.

    Attributes:
        sizes, channels, lengths, samples, dtype, nodata, is_georeferenced, num_bytes: see
            `TiffWindows`.

    Raises:
        UnreadableImageError: if the axes are not as described.
    """

    nodata, is_georeferenced = None, False

    def __init__(self, levels, axes, num_bytes=MIN_BYTES):
        shape = levels[0].shape
        if len(axes) != len(shape) or len(set(axes)) < len(axes) or not {"Y", "X"} <= set(axes):
            raise UnreadableImageError(
                f"it has the shape {tuple(shape)} and the axes {axes or 'without names'}; expected "
                "a letter for each axis, such as TCYX, with one Y and one X"
            )
        self.axes = axes
        self.lengths = {a: n for a, n in zip(axes, shape) if a not in "YXS"}
        self._levels = [level for level in levels if self._other_lengths(level) == self.lengths]
        self.sizes = [self._size(level) for level in self._levels]
        self.samples = shape[axes.index("S")] if "S" in axes else 1
        self.channels = math.prod(self.lengths.values()) * self.samples
        self.dtype = np.dtype(levels[0].dtype)
        self.num_bytes = num_bytes

    def _other_lengths(self, level):
        return {a: n for a, n in zip(self.axes, level.shape) if a not in "YXS"}

    def _size(self, level):
        return level.shape[self.axes.index("Y")], level.shape[self.axes.index("X")]

    def segment_width(self, level):
        """See `TiffWindows.segment_width`; chunks are small."""
        return 1

    def read(self, level, top, left, height, width, fixed=None):
        """Reads a part of a level: `(height, width, C)` array; see `TiffWindows.read`."""
        window = {"Y": slice(top, top + height), "X": slice(left, left + width), **(fixed or {})}
        index = tuple(window.get(axis, slice(None)) for axis in self.axes)
        try:
            part = np.asarray(self._levels[level][index])
        # Libraries raise errors of every kind for damaged data.
        except Exception as error:
            raise UnreadableImageError(str(error).split("\n")[0]) from error
        axes = [axis for axis in self.axes if axis not in (fixed or {})]
        others = [axes.index(axis) for axis in axes if axis not in "YXS"]
        order = [axes.index("Y"), axes.index("X"), *others]
        order += [axes.index("S")] if "S" in axes else []
        return part.transpose(order).reshape(height, width, -1)


def is_stack(contents):
    """Whether the contents of a file are HDF5, NIfTI, or compressed."""
    return contents[:8] == HDF5_MAGIC or is_nifti(contents)


def read_stack(contents):
    """Reads the image in an HDF5 or NIfTI file: `(H, W, C)` array, other axes are channels."""
    is_hdf5 = contents[:8] == HDF5_MAGIC
    return read_whole(open_hdf5(io.BytesIO(contents)) if is_hdf5 else read_nifti(contents))


def read_whole(stack):
    """Reads the whole image of a stack, or of `TiffWindows`: `(H, W, C)` array.

    Raises:
        UnreadableImageError: if it is too large.
    """
    height, width = stack.sizes[0]
    check_size((height, width, stack.channels))
    return stack.read(0, 0, 0, height, width)


def is_nifti(contents):
    """Whether a file that begins with these bytes, at least 352, is a NIfTI or a gzip archive."""
    is_plain = contents[344:348] in NIFTI_MAGIC or contents[4:8] in NIFTI_MAGIC
    return is_plain or contents[:2] == GZIP_MAGIC


def open_nifti(path, axes=None):
    """Opens the volume of a NIfTI file: `ArrayStack`.

    Axes are in the order of DICOM: X to the left of the patient, Y to the back, Z to the head, and
    T. Values are those of nibabel, that is, rescaled by the header's slope and intercept.

    Args:
        path: str, a local file, `.nii` or `.nii.gz`.
        axes: str, the letters of the array's axes, or None for X, Y, Z, T. Defaults to None.
    """
    if os.path.getsize(path) and str(path).endswith(".gz"):
        # Parts of a compressed file cannot be read by themselves.
        return read_nifti(pathlib.Path(path).read_bytes(), axes)
    with needs_extra("nifti"):
        import nibabel
    try:
        return _nifti_stack(nibabel.load(path), axes)
    except UnreadableImageError:
        raise
    except Exception as error:
        raise UnreadableImageError(str(error).split("\n")[0]) from error


def read_nifti(contents, axes=None):
    """Makes an `ArrayStack` of the contents of a NIfTI file; see `open_nifti`."""
    with needs_extra("nifti"):
        import nibabel
    if contents[:2] == GZIP_MAGIC:
        contents = _decompress(contents)
    if contents[4:8] in NIFTI_MAGIC:
        return _nifti_stack(nibabel.Nifti2Image.from_bytes(contents), axes, len(contents))
    return _nifti_stack(nibabel.Nifti1Image.from_bytes(contents), axes, len(contents))


def _decompress(contents):
    """Decompresses a NIfTI file, as far as its header requires."""
    import nibabel

    with gzip.open(io.BytesIO(contents)) as file:
        try:
            head = file.read(540)
        except (EOFError, OSError, zlib.error) as error:
            raise UnreadableImageError(str(error)) from None
    if not is_nifti(head) or head[:2] == GZIP_MAGIC:
        raise UnreadableImageError("it is a gzip archive, expected that of a NIfTI file")
    kind = nibabel.Nifti2Header if head[4:8] in NIFTI_MAGIC else nibabel.Nifti1Header
    header = kind.from_fileobj(io.BytesIO(head))
    check_size(header.get_data_shape())
    count = math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize
    start = int(header.get_data_offset())
    if start > MAX_HEADER:
        raise UnreadableImageError(f"its array begins at byte {start}, expected <= {MAX_HEADER}")
    found = zlib.decompressobj(31).decompress(contents, start + count)
    if len(found) < start + count:
        raise UnreadableImageError("it is truncated")
    return found


def _nifti_stack(image, axes, num_bytes=0):
    if image.get_data_dtype().fields is not None:
        raise UnreadableImageError(f"its pixels are {image.get_data_dtype()}, expected numbers")
    array = _Oriented(image)
    named = axes or "XYZTUVW"[: len(array.shape)]
    return ArrayStack([array], named, max(num_bytes, MIN_BYTES))


class _Oriented:
    """The array of a NIfTI image in the orientation of DICOM, read in parts.

    Args:
        image: nibabel's image.
    """

    def __init__(self, image):
        from nibabel import orientations

        self._array = image.dataobj
        ndim = len(image.shape)
        found = orientations.io_orientation(image.affine)
        # Axis `_from[a]` of the file is axis a, in reverse order if `_is_reversed[a]`.
        self._from, self._is_reversed = list(range(ndim)), [False] * ndim
        if ndim >= 3 and np.isfinite(found).all():
            wanted = orientations.axcodes2ornt("LPS")
            changes = orientations.ornt_transform(found, wanted)
            for source, (target, flip) in enumerate(changes):
                self._from[int(target)], self._is_reversed[int(target)] = source, flip < 0
        self.shape = tuple(image.shape[axis] for axis in self._from)
        is_stored = (image.dataobj.slope, image.dataobj.inter) == (1, 0)
        self.dtype = image.get_data_dtype() if is_stored else np.dtype("float32")

    def __getitem__(self, index):
        stored = [slice(None)] * len(self.shape)
        for axis, part in enumerate(index):
            stored[self._from[axis]] = self._to_stored(axis, part)
        part = np.asarray(self._array[tuple(stored)])
        kept = [axis for axis, part in enumerate(index) if isinstance(part, slice)]
        sources = sorted(self._from[axis] for axis in kept)
        part = part.transpose([sources.index(self._from[axis]) for axis in kept])
        steps = tuple(slice(None, None, -1 if self._is_reversed[axis] else 1) for axis in kept)
        return part[steps].astype(self.dtype, copy=False)

    def _to_stored(self, axis, part):
        """The places along an axis of the file, in the file's own order."""
        length = self.shape[axis]
        if not self._is_reversed[axis]:
            return part if isinstance(part, slice) else int(part)
        if not isinstance(part, slice):
            return length - 1 - int(part)
        start, stop, _ = part.indices(length)
        return slice(length - stop, length - start)


def is_zarr(path):
    """Whether a path is the folder of a zarr array or group."""
    return any(os.path.isfile(os.path.join(path, name)) for name in ("zarr.json", *ZARR_2))


ZARR_2 = (".zarray", ".zgroup")  # the files of zarr's second format


def open_zarr(path, axes=None):
    """Opens a zarr array or an OME-Zarr image with its levels: `ArrayStack`.

    Args:
        path: str, the folder.
        axes: str, the letters of the axes, or None for those that the folder names. Defaults to
            None.
    """
    with needs_extra("zarr"):
        import zarr
    try:
        found: Any = zarr.open(path, mode="r")
        if isinstance(found, zarr.Array):
            return ArrayStack([found], axes or _zarr_axes(found))
        scales = found.attrs.get("ome", found.attrs).get("multiscales")
        if not scales:
            raise UnreadableImageError(
                f"it is a zarr group of {', '.join(sorted(found)) or 'nothing'}, expected an array "
                "or an OME-Zarr image"
            )
        levels = [found[dataset["path"]] for dataset in scales[0]["datasets"]]
        return ArrayStack(levels, axes or _letters(map(_axis_name, scales[0].get("axes", []))))
    except UnreadableImageError:
        raise
    except Exception as error:
        raise UnreadableImageError(str(error).split("\n")[0]) from error


def _axis_name(axis):
    """The name of an OME-Zarr axis, which was a word alone before version 0.4."""
    return axis if isinstance(axis, str) else axis["name"]


def _zarr_axes(array):
    names = array.attrs.get("_ARRAY_DIMENSIONS") or getattr(array.metadata, "dimension_names", None)
    return _letters(names or []) or "YX" * (array.ndim == 2)


def _letters(names):
    """The axes' letters, the first of their names; an empty str if a name is missing."""
    names = list(names)
    return "".join(name[0] for name in names).upper() if all(names) else ""


def open_hdf5(path, axes=None):
    """Opens the array of an HDF5 file: `ArrayStack`.

    Args:
        path: str, a local file, or a file object.
        axes: str, the letters of the axes, or None for the labels of HDF5. Defaults to None.

    Raises:
        UnreadableImageError: if several arrays have as many axes.
    """
    with needs_extra("hdf5"):
        import h5py
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UnreadableImageError(str(error).split("\n")[0]) from None
    found = []

    def collect(name, item):
        is_image = isinstance(item, h5py.Dataset) and item.ndim >= 2 and item.dtype.kind in "biuf"
        if is_image and (axes is None or item.ndim == len(axes)):
            found.append(item)

    file.visititems(collect)
    if len(found) != 1:
        arrays = ", ".join(f"{item.name} {item.shape}" for item in found)
        raise UnreadableImageError(
            f"it has {len(found)} arrays{arrays and ': ' + arrays}, expected one with "
            f"{'the axes ' + axes if axes else 'at least two axes'}"
        )
    labels = _letters(dimension.label for dimension in found[0].dims)
    return ArrayStack(found, axes or labels or "YX" * (found[0].ndim == 2))
