"""Makes sources of the frames of videos.

Frames are found by their times, which the packets of a file have: nothing is decoded for them. To
read a frame, the decoder starts at the keyframe before it.
"""

import fractions
import os
import re
import threading
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from keras_isd.compat.optional_imports import needs_extra
from keras_isd.data.decoding.formats import UnreadableImageError
from keras_isd.data.groups import short_names
from keras_isd.data.sources.function import from_function
from keras_isd.data.sources.listing import list_files
from keras_isd.data.sources.patterns import expand_patterns
from keras_isd.data.sources.recent_items import RecentItems
from keras_isd.validation.arguments import check_positive

ENDINGS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".mxf", ".ogv", ".ts", ".webm", ".wmv"),
)
OPEN_VIDEOS = 16
ROUNDING = 1e-6  # seconds, of the times in names
_NAME = re.compile(r"(.*)\[t=(\d+(?:\.\d+)?)\]", re.DOTALL)


def from_video(
    files,
    every=1.0,
    labels=None,
    class_names=None,
    *,
    on_error="skip",
    channels=None,
    dtype=None,
):
    """Makes a source of the frames of videos (extra `[video]`).

    The times of all frames are read once, without decoding them. Reading a frame decodes all frames
    from the keyframe before it, which is fastest in the order of time. Colours become RGB of 8
    bits; videos of one channel keep their values.

    Args:
        files: path of a video, folder of videos, pattern such as `"*.mp4"`, or list of these.
        every: float, the distance of frames in seconds, or `"frame"` for all frames. Defaults to
            1.0.
        labels: integers with -1 for unknown labels, or class names, one for each file; or None.
            Defaults to None.
        class_names: list of str, the classes in the order of their labels, or None. Defaults to
            None.
        on_error: see `from_folder`. A file that cannot be opened is logged, or raises. Defaults to
            `"skip"`.
        channels: see `from_folder`. Defaults to None.
        dtype: see `from_folder`. Defaults to None.

    Returns:
        An `ImageSource`, whose names are such as `movie.mp4[t=12.0]`, the time in seconds after the
        first frame. Each file is a group.

    Raises:
        ImportError: if the extra is not installed.
        ValueError: if an argument is out of range, or no file is a video.

    Example:

    >>> import av, pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "movie.mp4")
    >>> with av.open(file, "w") as movie:
    ...     stream = movie.add_stream("mpeg4", rate=10, width=32, height=16)
    ...     for _ in range(25):
    ...         frame = av.VideoFrame.from_ndarray(np.zeros((16, 32, 3), "uint8"))
    ...         movie.mux(stream.encode(frame))
    ...     movie.mux(stream.encode())
    >>> source = keras_isd.data.from_video(file, every=0.5)
    >>> len(source), source[3].shape, pathlib.Path(source.names[3]).name
    (5, (16, 32, 3), 'movie.mp4[t=1.5]')
    """
    with needs_extra("video"):
        import av  # noqa: F401
    if every != "frame":
        check_positive("every", every)
    paths = _list_videos(files)
    if labels is not None and len(labels) != len(paths):
        raise ValueError(
            "Argument `labels` must have one for each file. "
            f"Received: {len(labels)} labels, {len(paths)} files"
        )
    timelines = _read_timelines(paths, on_error)
    if not any(timelines):
        raise ValueError(f"Argument `files` must be videos. Received: {paths[0]}")
    rows, names = [], []
    for number, timeline in enumerate(timelines):
        for frame in [] if timeline is None else _choose_frames(timeline.times(), every):
            rows.append((number, timeline.pts[frame]))
            names.append(f"{timeline.path}[t={_format_time(timeline.times()[frame])}]")
    files_of_rows = np.array(rows)[:, 0]
    return from_function(
        VideoFrames(timelines, np.array(rows)),
        len(rows),
        None if labels is None else [labels[number] for number in files_of_rows],
        class_names,
        names=names,
        groups=files_of_rows,
        group_names=short_names(paths),
        on_error=on_error,
        channels=channels,
        dtype=dtype,
    )


def parse_frame(name):
    """Parses the name of a frame: pair of the file and the time in seconds; None for others."""
    match = _NAME.fullmatch(name) if name.endswith("]") else None
    return None if match is None or os.path.exists(name) else (match[1], float(match[2]))


def frame_source(parsed, names, on_error="skip", **options):
    """Makes the source of frames with these names.

    Args:
        parsed: list of pairs of a file and a time in seconds; the frame nearest to it is read.
        names: list of str.
        on_error, **options: see `from_function`.
    """
    paths = list(dict.fromkeys(path for path, _ in parsed))
    timelines = _read_timelines(paths, on_error)
    number_of = {path: number for number, path in enumerate(paths)}
    rows = []
    for path, time in parsed:
        timeline = timelines[number_of[path]]
        rows.append((number_of[path], -1 if timeline is None else timeline.nearest(time)))
    frames = VideoFrames(timelines, np.array(rows))
    return from_function(frames, len(names), names=names, on_error=on_error, **options)


class Timeline(NamedTuple):
    """The times of a video's frames.

    Args:
        path: str.
        pts: int64 array, the times of all frames, increasing, in units of `time_base`.
        keyframes: `(n, 2)` int64 array, the times of the keyframes, and the times to seek for.
        time_base: `fractions.Fraction`, in seconds.
    """

    path: str
    pts: np.ndarray
    keyframes: np.ndarray
    time_base: fractions.Fraction

    def times(self):
        """The times of all frames in seconds after the first."""
        return (self.pts - self.pts[0]) * float(self.time_base)

    def nearest(self, time):
        """The time, in `time_base`, of the frame nearest to a time in seconds."""
        return self.pts[np.abs(self.times() - time).argmin()]

    def keyframe_before(self, pts):
        """The last keyframe up to a frame: its time, and the time to seek for."""
        number = np.searchsorted(self.keyframes[:, 0], pts, "right") - 1
        return self.keyframes[max(number, 0)].tolist()


class VideoFrames:
    """Reads frames of videos. The last used videos stay open.

    Args:
        timelines: list of `Timeline`, or None for files that cannot be read.
        rows: `(N, 2)` integers, the number of the file, and the frame's time in its `time_base`.
    """

    def __init__(self, timelines, rows):
        self._timelines, self._rows = timelines, rows
        self._videos = RecentItems(self._open, lambda video: 1, OPEN_VIDEOS)

    def _open(self, number):
        return Video(self._timelines[number])

    def __call__(self, row):
        number, pts = self._rows[row].tolist()
        if self._timelines[number] is None:
            raise UnreadableImageError("the video cannot be read")
        return self._videos(number).read(pts)

    def __reduce__(self):
        return VideoFrames, (self._timelines, self._rows)


class Video:
    """An open video, from which one thread reads at a time.

    Args:
        timeline: `Timeline`.
    """

    def __init__(self, timeline):
        import av

        self._timeline = timeline
        self._container = av.open(timeline.path)
        self._stream = self._container.streams.video[0]
        self._lock = threading.Lock()
        self._frames: Any = None  # the frames after the last one that was read
        self._position = 0  # the time of that one

    def read(self, pts):
        """Reads the frame at a time, in `time_base`."""
        with self._lock:
            try:
                frame = self._find(pts)
            except Exception:
                self._frames = None
                raise
        if frame is None or frame.is_corrupt:
            raise UnreadableImageError("its frame is damaged or missing")
        return _to_array(frame)

    def _find(self, pts):
        """Decodes up to the frame at a time; None if there is no such frame."""
        keyframe, target = self._timeline.keyframe_before(pts)
        if self._frames is None or not keyframe <= self._position < pts:
            frame = self._seek(target)
            if frame is None or frame.pts > pts:  # a format that seeks too far
                frame = self._seek(int(self._timeline.keyframes[0, 1]))
            if frame is None or frame.pts == pts:
                return frame
        for frame in self._frames:
            self._position = frame.pts
            if frame.pts >= pts:
                return frame if frame.pts == pts else None
        self._frames = None
        return None

    def _seek(self, target):
        """Moves to the keyframe before a time, and decodes it; None if it is missing."""
        self._container.seek(target, stream=self._stream)
        self._frames = self._container.decode(self._stream)
        frame = next(self._frames, None)
        if frame is None:
            self._frames = None
        else:
            self._position = frame.pts
        return frame


def _list_videos(files):
    """The paths of videos from paths, folders, patterns or a list of these."""
    paths = []
    for path in expand_patterns("files", files):
        if os.path.isdir(path):
            paths += [os.path.join(path, name) for name in list_files(path, ENDINGS)[0]]
        else:
            paths.append(path)
    if not paths:
        raise ValueError(
            f"Argument `files` must have videos ({', '.join(ENDINGS)}). Received: {files}"
        )
    return paths


def _read_timelines(paths, on_error):
    """The `Timeline` of each video; None for those that cannot be read, which are logged."""
    timelines = []
    for path in paths:
        try:
            timelines.append(_read_timeline(path))
        # FFmpeg has errors of every kind.
        except Exception as error:
            if on_error == "raise":
                raise ValueError(
                    f"Argument `files` must be videos. Received: {path}: {error}"
                ) from error
            logging.warning("%s cannot be read: %s", path, error)
            timelines.append(None)
    return timelines


def _read_timeline(path):
    import av

    with av.open(path) as container:
        if not container.streams.video:
            raise UnreadableImageError("it has no video stream")
        stream = container.streams.video[0]
        packets = [
            (packet.pts, packet.dts, packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.size and not packet.is_discard
        ]
        if any(pts is None for pts, _, _ in packets):  # only decoding shows the times
            container.seek(0)
            packets = [(f.pts, f.pts, f.key_frame) for f in container.decode(stream)]
    if not packets or any(pts is None for pts, _, _ in packets):
        raise UnreadableImageError("its frames have no times")
    # The times to seek for are those of decoding in some formats, and of showing in others.
    keyframes = [(pts, pts if dts is None else min(pts, dts)) for pts, dts, key in packets if key]
    first = min(packets)[0]
    return Timeline(
        os.fspath(path),
        np.unique([pts for pts, _, _ in packets]),
        np.array(sorted(keyframes) or [(first, first)]),
        stream.time_base,
    )


def _choose_frames(times, every):
    """The numbers of the frames that are shown at multiples of `every` seconds."""
    if every == "frame":
        return range(len(times))
    moments = np.arange(0, times[-1] + ROUNDING, every)
    return np.unique(np.searchsorted(times, moments + ROUNDING, "right") - 1)


def _format_time(time):
    text = f"{time:.6f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _to_array(frame):
    """The array `(H, W, C)` of a frame, rotated as players show it."""
    kind = frame.format
    if len(kind.components) > 1 or kind.has_palette:
        image = frame.to_ndarray(format="rgb24")
    else:
        name = kind.name if kind.components[0].bits > 8 else "gray"
        image = frame.to_ndarray(format=name)
    image = image if image.ndim == 3 else image[..., None]
    return np.rot90(image, round(frame.rotation / 90))  # counter-clockwise
