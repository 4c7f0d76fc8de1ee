"""Slices of stacks: the times, depths or channels of image files, each a row of a source."""

import itertools
import math
import os
import re
from typing import NamedTuple

import numpy as np
from absl import logging

from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.decoding.missing_pixels import fill_missing
from keras_isd.data.decoding.windows import converted_dtype
from keras_isd.data.sources.contents import read_array, write_array
from keras_isd.data.sources.image_source import ImageSource
from keras_isd.data.sources.storage import FilesInPython
from keras_isd.data.sources.tiles import LargeImages, inherited_options
from keras_isd.validation.arguments import check_in_range

# The names of slices: T=3 is a place, Z=max the axis of the maximum, Z=3+1 has one neighbour, and
# letters after a semicolon are the axes of a file that does not name them.
_NAME = re.compile(
    r"(?P<file>.*)\[(?P<places>[A-Z]=\d+(?:,[A-Z]=\d+)*)(?:\+(?P<adjacent>\d+))?"
    r"(?:,(?P<project>[A-Z])=max)?(?:;(?P<axes>[A-Z]+))?\]",
    re.DOTALL,
)


def slices(source, each, project=None, adjacent=0, axes=None):
    """Makes a source of the slices of stacks: movies, volumes, plates of several channels.

    A stack has named axes: T (time), Z (depth), C (channel) in addition to Y and X. Files name
    them: OME-TIFF and TIFF of ImageJ, OME-Zarr, NIfTI (X, Y, Z and T, in the orientation of DICOM),
    HDF5 with labels, and DICOM, where frames are T or Z and the files of a series are its Z, in the
    order of their positions. Each combination of places along the axes `each` is an image; all axes
    that are left are its channels. Only a slice's part of a file is read.

    Args:
        source: `ImageSource` of stacks; if these differ in the number of slices, it must have been
            made with `channels=1`.
        each: str, the axes whose places are rows, such as `"T"` or `"TZ"`.
        project: str, an axis whose maximum is taken, such as `"Z"`; or None. Defaults to None.
        adjacent: int, the number of slices before and after, along the last axis of `each`, that
            are further channels; at an end the last slice is repeated. Defaults to 0.
        axes: str, the letters of all axes of the files, such as `"TCYX"`, or None for those that
            they name. S are the samples of a pixel, such as RGB. Defaults to None.

    Returns:
        An `ImageSource`, whose names are such as `movie.ome.tif[T=3]`; a series of DICOM has the
        name of its first file. Labels and groups are those of the file; without groups each file is
        a group.

    Raises:
        ValueError: if an argument is out of range, no file has the axes, or files differ in the
            channels of a slice. Single files that have other axes or cannot be read are logged and
            left out, or raise if the source has `on_error="raise"`.

    Example:

    >>> import pathlib, tempfile, tifffile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> movie = np.zeros((5, 2, 16, 16), "uint16")
    >>> tifffile.imwrite(folder / "movie.ome.tif", movie, metadata={"axes": "TCYX"})
    >>> found = keras_isd.data.slices(keras_isd.data.from_folder(folder), each="T")
    >>> len(found), found[3].shape, pathlib.Path(found.names[3]).name
    (5, (16, 16, 2), 'movie.ome.tif[T=3]')
    """
    _check(each, project, adjacent, axes)
    large = LargeImages(source, as_stacks=True, axes=axes)
    parts: dict[int, list] = {}  # by the row of a stack's file
    skipped: dict[str, str] = {}
    kinds: dict[tuple[int, str], str] = {}
    seen: set[str] = set()  # the files of a series are one stack
    for row in range(len(source)):
        name = large.name(row)
        if name in seen:
            continue
        try:
            stack = _open(large, row, each + (project or ""))
            places = itertools.product(*(range(stack.lengths[axis]) for axis in each))
            parts[row] = [*places]
            seen.update(getattr(stack, "paths", ()))
            kinds.setdefault(_find_kind(stack, each, project, adjacent), name)
        except UnreadableImageError as error:
            skipped[name] = str(error)
    _report(source, each, project, parts, skipped, kinds)
    rows = [(number, *place) for number, part in enumerate(parts.values()) for place in part]
    stacks = source if len(parts) == len(source) else source.subset([*parts])
    files = SliceFiles(stacks, np.array(rows, "int32"), each, project, adjacent, axes)
    (channels, dtype), _ = kinds.popitem()
    return slice_source(files, channels, dtype)


def slice_source(files, channels, dtype, names=None, **options):
    """Makes a source of slices.

    Args:
        files: `SliceFiles`.
        channels: int, channels of a slice.
        dtype: str, data type of a slice.
        names: list of str. Defaults to those of `slices`.
        **options: labels, groups and names of both, see `ImageSource`. Default to those of the
            files.
    """
    # As for photographs, a single channel of 8 bits is repeated to three.
    channels = 3 if (channels, dtype) == (1, "uint8") else channels
    if not options:
        options = inherited_options(files.large, files.rows[:, 0])
    return ImageSource(
        files,
        count=len(files.rows),
        names=[files.name(row) for row in range(len(files.rows))] if names is None else names,
        on_error=files.large.source.on_error,
        decoder=Decoder(channels, dtype, read_array),
        **options,
    )


class SliceName(NamedTuple):
    """The parts of the name of a slice; see `slices` for all but the file and the places."""

    file: str
    each: str
    places: tuple
    project: str | None
    adjacent: int
    axes: str | None


def parse_slice(name):
    """Parses the name of a slice to a `SliceName`; None for other names."""
    match = _NAME.fullmatch(name) if name.endswith("]") else None
    if match is None or os.path.exists(name):
        return None
    parts = match["places"].split(",")
    each, places = "".join(part[0] for part in parts), tuple(int(part[2:]) for part in parts)
    adjacent = int(match["adjacent"] or 0)
    return SliceName(match["file"], each, places, match["project"], adjacent, match["axes"])


def named_slices(source, parsed, names, **options):
    """Makes the source of slices with these names.

    Args:
        source: `ImageSource` of their files, each once, in the order in which names have them.
        parsed: list of `SliceName`.
        names: list of str.
        **options: see `slice_source`.

    Raises:
        ValueError: if names differ in axes, projection or adjacent slices, or no file has the axes.
    """
    kinds = {(one.each, one.project, one.adjacent, one.axes) for one in parsed}
    if len(kinds) > 1:
        raise ValueError(
            "Names of slices must have the same axes, projection and adjacent slices. "
            f"Received: {sorted(map(str, kinds))}"
        )
    each, project, adjacent, axes = kinds.pop()
    numbers = {name: number for number, name in enumerate(dict.fromkeys(p.file for p in parsed))}
    rows = np.array([(numbers[one.file], *one.places) for one in parsed], "int32")
    files = SliceFiles(source, rows, each, project, adjacent, axes)
    try:
        kind = files.kind(0)
    except UnreadableImageError as error:
        raise ValueError(f"Slices must be readable. Received: {names[0]}: {error}") from None
    channels, dtype = kind
    return slice_source(files, channels, dtype, names, **options)


class SliceFiles(FilesInPython):
    """Slices of stacks as the contents of files.

    Args:
        source: `ImageSource` of stacks.
        rows: `(N, 1 + axes)` integers, the row of the file and the place along each axis.
        each, project, adjacent, axes: see `slices`.
    """

    def __init__(self, source, rows, each, project=None, adjacent=0, axes=None):
        self.large = LargeImages(source, as_stacks=True, axes=axes)
        self.rows, self.each, self.project, self.adjacent = rows, each, project, adjacent
        super().__init__()

    def name(self, row):
        """The name of a slice."""
        number, *places = self.rows[row].tolist()
        written = ",".join(f"{axis}={place}" for axis, place in zip(self.each, places))
        written += f"+{self.adjacent}" if self.adjacent else ""
        written += f",{self.project}=max" if self.project else ""
        written += f";{self.large.axes}" if self.large.axes else ""
        return f"{self.large.name(number)}[{written}]"

    def kind(self, row):
        """The channels of a slice and its data type."""
        stack = _open(self.large, int(self.rows[row, 0]), self.each + (self.project or ""))
        return _find_kind(stack, self.each, self.project, self.adjacent)

    def read_bytes(self, row):
        """Reads a slice as the contents of a `.npy` file."""
        number, *places = self.rows[row].tolist()
        stack = _open(self.large, number, self.each + (self.project or ""))
        last = stack.lengths[self.each[-1]] - 1
        parts = []
        for step in range(-self.adjacent, self.adjacent + 1):
            place = [*places[:-1], min(max(places[-1] + step, 0), last)]
            parts.append(self._read_place(stack, dict(zip(self.each, place))))
        image = fill_missing(np.concatenate(parts, axis=-1), stack.nodata)
        return write_array(np.ascontiguousarray(image))

    def _read_place(self, stack, fixed):
        """The image `(H, W, C)` at a place of a stack, with the maximum of the projected axis."""
        height, width = stack.sizes[0]
        if any(place >= stack.lengths[axis] for axis, place in fixed.items()):
            raise UnreadableImageError(f"it has axes of {stack.lengths}, expected {fixed}")
        if self.project is None:
            return stack.read(0, 0, 0, height, width, fixed)
        parts = (
            stack.read(0, 0, 0, height, width, {**fixed, self.project: place})
            for place in range(stack.lengths[self.project])
        )
        image = next(parts)
        for part in parts:
            image = np.maximum(image, part)
        return image

    def __reduce__(self):
        source, axes = self.large.source, self.large.axes
        return SliceFiles, (source, self.rows, self.each, self.project, self.adjacent, axes)


def _check(each, project, adjacent, axes):
    is_text = isinstance(each, str) and each.isalpha() and each.isupper()
    if not is_text or len(set(each)) < len(each) or set(each) & set("YXS"):
        raise ValueError(
            'Argument `each` must be axes such as "T" or "TZ", other than Y, X and S. '
            f"Received: {each=}"
        )
    if project is not None and (not isinstance(project, str) or len(project) != 1):
        raise ValueError(f'Argument `project` must be an axis such as "Z". Received: {project=}')
    if project is not None and project in each:
        raise ValueError(
            f"Argument `project` must not be among `each`. Received: {project=}, {each=}"
        )
    check_in_range("adjacent", adjacent, 0)
    if axes is not None and not {"Y", "X", *each, *(project or "")} <= set(axes):
        raise ValueError(
            'Argument `axes` must be the letters of all axes, such as "TCYX", with Y, X and those '
            f"of `each` and `project`. Received: {axes=}, {each=}, {project=}"
        )


def _open(large, row, axes):
    """Opens a stack that has these axes."""
    image = large.open(row)
    if missing := [axis for axis in axes if axis not in image.lengths]:
        found = ", ".join(f"{axis} ({length})" for axis, length in image.lengths.items())
        raise UnreadableImageError(f"it has no axis {missing[0]}, but {found or 'Y and X alone'}")
    return image


def _find_kind(stack, each, project, adjacent):
    """The channels of a slice and its data type."""
    left = math.prod(
        length for axis, length in stack.lengths.items() if axis not in each + (project or "")
    )
    return left * stack.samples * (2 * adjacent + 1), converted_dtype(stack.dtype)


def _report(source, each, project, parts, skipped, kinds):
    """Logs the files left out; raises a ValueError if none is left, or their slices differ."""
    # The files of a series have one reason.
    first = {reason: name for name, reason in reversed(skipped.items())}
    reasons = "; ".join([f"{name}: {reason}" for reason, name in first.items()][::-1][:3])
    if skipped and (source.on_error == "raise" or not parts):
        raise ValueError(
            f"Argument `source` must have stacks with the axes {each}{project or ''}. "
            f"Received: {reasons}"
        )
    if len(kinds) > 1:
        received = "; ".join(f"{name}: {c} channels, {d}" for (c, d), name in kinds.items())
        raise ValueError(
            "Slices must agree in channels and data type: put the axes in which files differ into "
            f"`each` or `project`. Received: {received}"
        )
    if skipped:
        logging.warning("%d files have no slices: %s", len(skipped), reasons)
