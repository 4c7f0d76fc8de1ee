"""Frames of videos: equal to those of a sequential decode, their times, names and errors."""

import fractions
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_isd import data
from keras_isd.data.sources import video
from tests.support.sources import check_reading

av = pytest.importorskip("av", reason="PyAV reads videos")
pytestmark = [
    pytest.mark.one_backend("reads files with NumPy"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]

# Ending, codec and format of the pixels. Frames of h264 and mpeg4 refer to later ones.
KINDS = {
    "mp4": ("libx264", "yuv420p"),
    "mkv": ("libx264", "yuv420p"),
    "ts": ("libx264", "yuv420p"),
    "avi": ("mpeg4", "yuv420p"),
    "webm": ("libvpx-vp9", "yuv420p"),
    "mov": ("mjpeg", "yuvj420p"),
}
SCENE = np.random.RandomState(0).randint(0, 256, (32, 48, 3)).astype("uint8")


def write(path, count=23, rate=25, kind=None, times=None):
    """Writes a video that moves, with a keyframe for every six frames; returns its path."""
    codec, pixels = kind or KINDS[path.suffix[1:]]
    with av.open(path, "w") as movie:
        stream = movie.add_stream(codec, rate=rate, width=48, height=32, pix_fmt=pixels)
        stream.gop_size = 6
        stream.codec_context.max_b_frames = 2 if codec in ("libx264", "mpeg4") else 0
        if times is not None:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        if codec == "mjpeg":
            stream.codec_context.color_range = 2
        for number in range(count):
            pixels = np.roll(SCENE, 3 * number, axis=1)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], fractions.Fraction(1, 1000)
            movie.mux(stream.encode(frame))
        movie.mux(stream.encode())
    return path


def decode(path, form="rgb24"):
    """All frames of a video, and their times in seconds after the first."""
    with av.open(path) as movie:
        frames = list(movie.decode(video=0))
    times = np.array([frame.time for frame in frames])
    return [frame.to_ndarray(format=form) for frame in frames], times - times[0]


@pytest.mark.parametrize("ending", KINDS)
def test_every_frame_equals_that_of_a_sequential_decode(ending, tmp_path):
    path = write(tmp_path / f"a.{ending}")
    frames, times = decode(path)
    assert len(frames) == 23
    assert len(np.unique(frames, axis=0)) == 23
    source = data.from_video(path, every="frame")
    check_reading(source, frames)
    assert [video.parse_frame(name)[1] for name in source.names] == pytest.approx(times, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.integers(0, 22), min_size=1, max_size=12), ending=st.sampled_from([*KINDS]))
def test_any_order_of_frames_reads_the_same(rows, ending, tmp_path_factory):
    path = write(tmp_path_factory.mktemp("video") / f"a.{ending}")
    frames, _ = decode(path)
    source = data.from_video(path, every="frame")
    for row in rows:
        np.testing.assert_array_equal(source[row], frames[row])


def test_frames_at_a_distance_are_those_shown_at_its_multiples(tmp_path):
    path = write(tmp_path / "a.mp4", count=26, rate=10)
    frames, _ = decode(path)
    source = data.from_video(path, every=0.5)
    assert source.names == [
        f"{path}[t={time}]" for time in ("0.0", "0.5", "1.0", "1.5", "2.0", "2.5")
    ]
    check_reading(source, frames[::5])
    # Between two frames the earlier one is shown; frames are not repeated.
    part = data.from_video(path, every=0.25)
    assert [name.split("=")[1] for name in part.names[:4]] == ["0.0]", "0.2]", "0.5]", "0.7]"]
    assert len(data.from_video(path, every=0.01)) == 26
    assert len(data.from_video(path)) == 3


def test_frames_of_varying_length_are_found_by_their_times(tmp_path):
    times = np.cumsum([0, 40, 500, 33, 33, 900, 10, 10, 2000, 17])
    path = write(tmp_path / "a.mkv", count=10, times=times.tolist())
    frames, found = decode(path)
    np.testing.assert_allclose(found * 1000, times, atol=1)
    source = data.from_video(path, every=1.0)
    # The frame of 1.526 s is shown at 2 s and at 3 s.
    assert [name.split("=")[1] for name in source.names] == ["0.0]", "0.606]", "1.526]"]
    shown = [0, 4, 7]
    for image, row in zip(source, shown, strict=True):
        np.testing.assert_array_equal(image, frames[row])


def test_each_file_is_a_group_with_a_label_and_names_are_paths(tmp_path):
    (tmp_path / "films").mkdir()
    paths = [write(tmp_path / "films" / f"{name}.mp4") for name in "ab"]
    (tmp_path / "films" / "notes.txt").touch()
    source = data.from_video(tmp_path / "films", 0.5, labels=["cat", None])
    assert (source.groups.tolist(), source.group_names) == ([0, 0, 1, 1], ["a.mp4", "b.mp4"])
    assert (source.labels.tolist(), source.class_names) == ([0, 0, -1, -1], ["cat"])
    assert source.names[2:] == [f"{paths[1]}[t=0.0]", f"{paths[1]}[t=0.48]"]
    rows = [3, 0, 1]
    again = data.from_paths([source.names[row] for row in rows], labels=[0, 1, 1])
    check_reading(again, [source[row] for row in rows])
    tiles = data.tiles(source, 16, keep=0)
    np.testing.assert_array_equal(data.from_paths(tiles.names[7:8])[0], tiles[7])


def test_a_single_channel_of_sixteen_bits_stays(tmp_path):
    path = write(tmp_path / "a.mkv", kind=("ffv1", "gray16le"))
    frames, _ = decode(path, "gray16le")
    source = data.from_video(path, every="frame", channels=1)
    assert (source.channels, source.dtype) == (1, "uint16")
    check_reading(source, [frame[..., None] for frame in frames])


def test_frames_are_rotated_as_players_show_them(tmp_path):
    path = write(tmp_path / "a.mp4")
    frames, _ = decode(path)
    contents = path.read_bytes()
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    # A quarter turn clockwise, as telephones write it.
    turned = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 32 << 16, 0, 0x40000000)
    place = contents.index(matrix, contents.index(b"tkhd"))
    path.write_bytes(contents[:place] + turned + contents[place + 36 :])
    image = data.from_video(path, every="frame")[4]
    np.testing.assert_array_equal(image, np.rot90(frames[4], -1))


def test_few_videos_are_open_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "OPEN_VIDEOS", 2)
    frames = {
        name: decode(write(tmp_path / f"{name}.avi", count=3 + len(name)))[0]
        for name in ("a", "bb", "ccc")
    }
    source = data.from_video(tmp_path, every="frame")
    for _ in range(2):
        for row, name in enumerate(source.names):
            group = ["a", "bb", "ccc"][source.groups[row]]
            first = source.groups.tolist().index(source.groups[row])
            np.testing.assert_array_equal(source[row], frames[group][row - first], err_msg=name)
            assert len(source._storage.read._videos.keys()) <= 2


def test_damaged_videos_are_named(tmp_path, caplog):
    good, path = write(tmp_path / "good.mp4"), tmp_path / "bad.mp4"
    path.write_bytes(b"no video" * 100)
    with caplog.at_level("WARNING"):
        source = data.from_video([path, good])
    assert (len(source), source.group_names) == (1, ["bad.mp4", "good.mp4"])
    assert f"{path} cannot be read" in caplog.text
    with pytest.raises(ValueError, match=r"`files` must be videos\. Received: .*bad\.mp4"):
        data.from_video([path, good], on_error="raise")
    with pytest.raises(ValueError, match=r"`files` must be videos\. Received: .*bad\.mp4"):
        data.from_video(path)
    named = data.from_paths([f"{path}[t=0.0]", source.names[0]])
    assert named.read_one(0)[1] == 1
    # The pixels are damaged after the times were read.
    source = pickle.dumps(data.from_video(good, every="frame"))
    contents = good.read_bytes()
    begin = contents.index(b"mdat") + 4
    good.write_bytes(contents[:begin] + bytes(len(contents) - begin))
    with pytest.raises(ValueError, match="None of 23 images can be read"):
        pickle.loads(source)[3]


@pytest.mark.parametrize("every", [0, -1.0, "second", None])
def test_a_bad_distance_is_named(every, tmp_path):
    with pytest.raises(ValueError, match=r"`every` must be .*Received: every="):
        data.from_video(write(tmp_path / "a.avi"), every)


def test_bad_arguments_are_named(tmp_path):
    path = write(tmp_path / "a.avi")
    with pytest.raises(ValueError, match=r"`labels` must have one for each file\. Received: 2"):
        data.from_video(path, labels=[0, 1])
    with pytest.raises(ValueError, match=r"`files` must name existing files\. Received: .*b\.mp4"):
        data.from_video([path, tmp_path / "b.mp4"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"`files` must have videos \(.*\.mp4.*empty"):
        data.from_video(tmp_path / "empty")


def test_names_of_frames_are_not_mixed_with_files(tmp_path):
    path = write(tmp_path / "a.avi")
    with pytest.raises(ValueError, match=r"must not be mixed with others\. Received: .*b\.png"):
        data.from_paths([f"{path}[t=0.0]", tmp_path / "b.png"])


@pytest.mark.parametrize("ending", KINDS)
def test_the_decoder_starts_at_the_keyframe_before_a_frame(ending, tmp_path, monkeypatch):
    path = write(tmp_path / f"a.{ending}")
    source = data.from_video(path, every="frame")
    reader = source._storage.read
    timeline, sought, original = reader._timelines[0], [], video.Video._seek
    monkeypatch.setattr(
        video.Video, "_seek", lambda self, target: sought.append(target) or original(self, target)
    )
    pts = timeline.pts.tolist()
    assert timeline.keyframe_before(pts[20])[0] >= pts[14]
    for row in range(23):  # in order, each keyframe is sought once
        reader(row)
    assert sought == timeline.keyframes[:, 1].tolist()
    sought.clear()
    reader(20)
    assert sought == [timeline.keyframe_before(pts[20])[1]]
