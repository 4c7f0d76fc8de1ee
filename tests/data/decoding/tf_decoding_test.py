"""Photographs decoded by TensorFlow equal Pillow's, also turned or at a reduced scale."""

import io

import numpy as np
import pytest
from PIL import Image

tf = pytest.importorskip("tensorflow", reason="TensorFlow decodes")
from keras_isd import augmentation, data  # noqa: E402
from keras_isd.data.decoding.decoder import Decoder  # noqa: E402
from keras_isd.data.decoding.tf_decoding import (  # noqa: E402
    decode_quickly,
    read_header,
    try_or,
)
from tests.support.photographs import photographs  # noqa: E402

pytestmark = pytest.mark.one_backend("tf.data is the same under any backend")


def jpeg(image, **arguments):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92, **arguments)
    return file.getvalue()


def turn(image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(image, exif=exif)


LARGE = [Image.fromarray(p).resize((1920, 1280), Image.Resampling.LANCZOS) for p in photographs()]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_read_as_pillow_reads_it(orientation):
    contents = turn(Image.fromarray(photographs()[0]), orientation)
    size, found = read_header(tf.constant(contents))
    expected = Decoder()(contents)
    assert int(found) == orientation
    assert size.numpy().tolist() == list(expected.shape[:2])
    np.testing.assert_array_equal(decode_quickly(tf.constant(contents), found), expected)


def add_comment(contents):
    """Adds a comment at the beginning of a JPEG, so that EXIF is not in its usual place."""
    return contents[:2] + b"\xff\xfe\x00\x06abcd" + contents[2:]


def make_xmp_jpeg(orientation):
    words = f'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="{orientation}"/>'
    return jpeg(Image.fromarray(photographs()[0]), xmp=words.encode())


@pytest.mark.parametrize("kind", ["comment", "xmp", "nine", "late chunk"])
def test_unusual_orientations_are_read_alike_in_a_pipeline_and_in_python(tmp_path, kind):
    image = Image.fromarray(photographs()[0])
    if kind == "late chunk":
        exif = Image.Exif()
        exif[0x0112] = 6
        file = io.BytesIO()
        image.save(file, "PNG", exif=exif)
        whole = file.getvalue()
        at = whole.index(b"eXIf") - 4
        end = at + 12 + int.from_bytes(whole[at : at + 4])
        contents = whole[:at] + whole[end:-12] + whole[at:end] + whole[-12:]
    else:
        contents = {
            "comment": lambda: add_comment(turn(image, 6)),
            "xmp": lambda: make_xmp_jpeg(6),
            "nine": lambda: turn(image, 9),
        }[kind]()
    (tmp_path / "a.jpg").write_bytes(contents)
    source = data.from_folder(tmp_path)
    [read] = list(source.dataset())
    np.testing.assert_array_equal(read, source[0])


@pytest.mark.parametrize(("reduction", "scale"), [(1, 1), (2, 2), (3, 2), (7, 4), (8, 8), (99, 8)])
def test_a_jpeg_is_decoded_at_the_largest_acceptable_reduction(reduction, scale):
    contents = turn(LARGE[0], 6)
    small = decode_quickly(tf.constant(contents), tf.constant(6), tf.constant(reduction))
    assert small.shape == (1920 // scale, 1280 // scale, 3)


def whole_images(source):
    return tf.data.Dataset.from_generator(
        lambda: iter(source), output_signature=tf.TensorSpec((None, None, 3), "uint8")
    )


@pytest.mark.parametrize("policy", ["evaluation", "weak"])
def test_views_of_large_photographs_are_within_two_levels_of_those_at_full_scale(tmp_path, policy):
    for number, image in enumerate(LARGE):
        image.save(tmp_path / f"{number}.jpg", quality=92)
    source = data.from_folder(tmp_path).subset(np.arange(16) % 2)
    make = {"evaluation": augmentation.evaluation, "weak": augmentation.weak}[policy]
    view = make(64, statistics=([0, 0, 0], [1, 1, 1]))
    arguments = {"batch_size": 16, "seed": 5, "shuffle_buffer": 0}
    reduced = next(iter(data.two_view_dataset(source, view, view, **arguments)))
    whole = next(iter(data.two_view_dataset(whole_images(source), view, view, **arguments)))
    for name in ("query", "key"):
        difference = 255 * np.abs(reduced[name] - whole[name]).mean(axis=(1, 2, 3))
        assert difference.mean() <= 2
        assert difference.max() <= 4
        assert difference.max() > 0  # it is decoded at a reduced scale


def test_large_crops_are_decoded_at_full_scale(tmp_path):
    """A crop of 300 pixels from 427 rows needs the full scale, and equals the exact crop."""
    Image.fromarray(photographs()[0]).save(tmp_path / "0.jpg", quality=92)
    source = data.from_folder(tmp_path)
    view = augmentation.evaluation(300)
    [found] = data.one_view_dataset(source, view, 1)
    [expected] = data.one_view_dataset(whole_images(source), view, 1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("contents", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_contents_without_a_header_fall_back_to_the_alternative(contents):
    otherwise = (tf.zeros(2, tf.int32), 0)
    size, orientation = try_or(lambda: read_header(tf.constant(contents)), lambda: otherwise)
    assert size.numpy().tolist() == [0, 0]
    assert int(orientation) == 0


def test_photographs_larger_than_pillows_limit_are_unreadable(tmp_path, monkeypatch):
    LARGE[0].save(tmp_path / "0.jpg")
    Image.fromarray(photographs()[0]).save(tmp_path / "1.jpg")
    source = data.from_folder(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200_000)
    [image] = source.dataset()
    assert image.shape == photographs()[0].shape
    [(name, reason)] = source.unreadable()
    assert name.endswith("0.jpg")
    assert "exceeds limit" in reason
