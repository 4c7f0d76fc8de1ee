"""Reads DICOM: values in units that scanners share, frames, and the slices of a series."""

import collections
import functools
import io
import os

import numpy as np

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.decoding.formats import (
    MAX_PAGES,
    UnreadableImageError,
    channels_last,
    check_size,
)
from keras_isd.data.decoding.stacks import ArrayStack

DEFLATED = "1.2.840.10008.1.2.1.99"
PREAMBLE_BYTES = 132
SERIES_TAGS = [
    "SeriesInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "InstanceNumber",
]
MAX_GAP = 1.5  # distance of slices, relative to the median, from which on some are missing


def is_dicom(contents):
    """Whether a file that begins with these bytes is DICOM."""
    return contents[128:132] == b"DICM"


def read_dicom(contents, raw=False):
    """Reads the image in a DICOM file: `(H, W, C)` array; frames are channels.

    Values are rescaled to the units of the modality, such as Hounsfield units, by slope and
    intercept or by a table; they are float32 then, also if the slope is 1, so that scanners agree.
    White and black are exchanged in MONOCHROME1, where 0 is white. YBR and palettes become RGB.

    Args:
        contents: bytes, or the path of a file.
        raw: bool, whether values are left as they are stored. Defaults to False.

    Raises:
        UnreadableImageError: if the file is too large, or its parts could inflate to any length.

    Source: DICOM PS3.3, C.7.6.3 (image pixels), C.7.6.16.2.9 and C.11.1 (values), C.8.11 (series).
    """
    data = _parse(contents)
    shape = _frame_shape(data)
    frames = _count_frames(data)
    if frames > MAX_PAGES:
        raise UnreadableImageError(f"it has {frames} frames, expected <= {MAX_PAGES}")
    check_size((frames, *shape))
    array = _read_frames(data, None, raw)
    is_color = array.ndim == 3 + (frames > 1)
    return channels_last(array, ("Q" if frames > 1 else "") + "YX" + ("S" if is_color else ""))


def open_dicom(path, axes=None, raw=False, is_series=False):
    """Opens the frames of a DICOM file, or the series that it belongs to: `ArrayStack`.

    A file of a single frame may stand for the files in its folder with the same series, in the
    order of their positions in the patient, as axis Z. Frames are an axis T if they have times, and
    Z otherwise.

    Args:
        path: str, a local file.
        axes: str, the letters of the axes, or None for these. Defaults to None.
        raw: see `read_dicom`.
        is_series: bool, whether a file of a single frame stands for its series. Defaults to False.

    Raises:
        UnreadableImageError: if slices of a series are missing, or several have one position.
    """
    data = _parse(path, stop_before_pixels=True)
    if _count_frames(data) == 1 and is_series:
        return DicomSeries(path, axes, raw)
    has_times = any(tag in data for tag in ("FrameTime", "FrameTimeVector", "CineRate"))
    found = _Frames(path, data, raw)
    named = axes or ("T" if has_times else "Z") + "YX" + ("S" if len(found.shape) == 4 else "")
    return ArrayStack([found], named)


class DicomSeries(ArrayStack):
    """The slices of a series, one in each file; see `open_dicom` for the arguments.

    Attributes:
        paths: list of str, the files in the order of their positions.
    """

    def __init__(self, path, axes=None, raw=False):
        self.paths = _sort_series(path)
        found = _Slices(self.paths, raw)
        super().__init__([found], axes or "ZYX" + ("S" if len(found.shape) == 4 else ""))


class _Frames:
    """The frames of a file as an array, read one by one."""

    def __init__(self, path, data, raw):
        self._path, self._data, self._raw = path, data, raw
        check_size(_frame_shape(data))
        first = self._read(0)
        self.shape, self.dtype = (_count_frames(data), *first.shape), first.dtype

    def _read(self, number):
        return _read_frames(self._data, number, self._raw, self._path)

    def __getitem__(self, index):
        first, *inner = index
        numbers = range(*first.indices(self.shape[0])) if isinstance(first, slice) else [int(first)]
        parts = [self._read(number)[tuple(inner)] for number in numbers]
        return np.stack(parts) if isinstance(first, slice) else parts[0]


class _Slices(_Frames):
    """The images of files as an array, read one by one."""

    def __init__(self, paths, raw):
        self._paths, self._raw = paths, raw
        first = self._read(0)
        self.shape, self.dtype = (len(paths), *first.shape), first.dtype

    def _read(self, number):
        image = read_dicom(self._paths[number], self._raw)
        return image[..., 0] if image.shape[-1] == 1 else image


def _parse(contents, **options):
    with needs_extra("dicom"):
        import pydicom
    source = io.BytesIO(contents) if isinstance(contents, bytes) else contents
    try:
        with io.BytesIO(contents) if isinstance(contents, bytes) else open(contents, "rb") as file:
            file.seek(PREAMBLE_BYTES)
            # Group 2 alone, because reading any more would inflate the rest.
            meta = pydicom.filereader.read_dataset(
                file, False, True, stop_when=lambda tag, *_: tag.group != 2
            )
        if meta.get("TransferSyntaxUID") == DEFLATED:
            raise UnreadableImageError("it is DICOM with the deflated transfer syntax")
        return pydicom.dcmread(source, **options)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise UnreadableImageError(str(error)) from None


def _count_frames(data):
    return int(data.get("NumberOfFrames", 1) or 1)


def _frame_shape(data):
    return int(data.Rows), int(data.Columns), int(data.get("SamplesPerPixel", 1))


def _read_frames(data, number, raw, path=None):
    """The values of a frame `(H, W)` or `(H, W, 3)`, or of all frames if the number is None.

    With a path only the frame is read from the file, and `data` needs no pixels.
    """
    from pydicom import pixels

    array = pixels.pixel_array(data if path is None else path, index=number, raw=raw)
    if raw:
        return array
    photometric = data.get("PhotometricInterpretation", "MONOCHROME2")
    if photometric == "PALETTE COLOR":
        return pixels.apply_color_lut(array, data)
    if photometric == "MONOCHROME1":
        bits, is_signed = int(data.BitsStored), int(data.PixelRepresentation) == 1
        largest = np.array(-1 if is_signed else 2**bits - 1, array.dtype)
        array = largest - array  # exchanges the smallest and the largest value that can be stored
    frames = _count_frames(data)
    if frames == 1 or number is not None:
        return _to_units(array, data, number or 0)
    parts = [_to_units(part, data, at) for at, part in enumerate(array)]
    return np.stack(parts)


def _to_units(array, data, frame):
    """The values of a frame in the units of the modality; as they are if the file has no units."""
    from pydicom import pixels

    item = _transformation(data, frame)
    if "RescaleSlope" not in item and "ModalityLUTSequence" not in item:
        return array
    return pixels.apply_modality_lut(array, item).astype("float32")


def _transformation(data, frame):
    """The part of a file that has the transformation of a frame's values."""
    of_frames = data.get("PerFrameFunctionalGroupsSequence") or []
    shared = data.get("SharedFunctionalGroupsSequence") or []
    for group in (*of_frames[frame : frame + 1], *shared):
        if found := group.get("PixelValueTransformationSequence"):
            return found[0]
    return data


def _sort_series(path):
    """The files in the folder of a file that are of its series, by their positions."""
    tags = _read_tags(path)
    if tags is None or "SeriesInstanceUID" not in tags:
        return [path]
    folder = os.path.dirname(path) or "."
    series = _list_series(folder, os.stat(folder).st_mtime_ns)[tags.SeriesInstanceUID]
    _check_positions(np.array([position for position, _ in series]))
    return [file for _, file in series]


@functools.lru_cache(maxsize=16)  # a folder may have many series, and each file is one's entrance
def _list_series(folder, changed):
    """The files of each series in a folder with their positions, sorted; dict by the series' UID.

    Args:
        folder: str.
        changed: int, when the folder was changed; a cached result is of the same time.
    """
    found = collections.defaultdict(list)
    for entry in os.listdir(folder):
        tags = _read_tags(os.path.join(folder, entry))
        if tags is not None and "SeriesInstanceUID" in tags:
            found[tags.SeriesInstanceUID].append((_position(tags), os.path.join(folder, entry)))
    return {uid: sorted(series) for uid, series in found.items()}


def _read_tags(path):
    """The tags of a file that place it in its series; None if it is not DICOM."""
    try:
        with open(path, "rb") as file:
            if not is_dicom(file.read(132)):
                return None
        return _parse(path, stop_before_pixels=True, specific_tags=SERIES_TAGS)
    except (OSError, UnreadableImageError):
        return None


def _position(tags):
    """The distance of a slice along the normal of the slices, in mm; or its number."""
    try:
        across, down = np.reshape([float(x) for x in tags.ImageOrientationPatient], (2, 3))
        return float(np.cross(across, down) @ [float(x) for x in tags.ImagePositionPatient])
    except (AttributeError, TypeError, ValueError):
        return float(tags.get("InstanceNumber") or 0)


def _check_positions(positions):
    steps = np.diff(positions)
    if not len(steps):
        return
    if steps.min() <= 0:
        at = int(np.argmin(steps))
        raise UnreadableImageError(f"its series has several slices at position {positions[at]:g}")
    usual = np.median(steps)
    if steps.max() > MAX_GAP * usual:
        at = int(np.argmax(steps))
        raise UnreadableImageError(
            f"slices of its series are missing between the positions {positions[at]:g} and "
            f"{positions[at + 1]:g}; the others have a distance of {usual:g}"
        )
