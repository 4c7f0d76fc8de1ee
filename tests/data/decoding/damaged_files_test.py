"""Damaged files: each one is read or reported as unreadable, and none stops the others."""

import random
import warnings

import numpy as np
import pytest

from keras_isd import data
from keras_isd.data.decoding.decoder import Decoder
from keras_isd.data.decoding.formats import UnreadableImageError
from tests.data.decoding.formats_test import (
    COLORS,
    EIGHT_BITS,
    KINDS,
    kind,
    make_small_photographs,
    tiff,
)

pytestmark = pytest.mark.one_backend("files are read alike under any backend")

COUNT = 2_000


def damage(contents, others, draw):
    """Damages the contents of a file in one to three ways."""
    contents = bytearray(contents)
    for _ in range(draw.randint(1, 3)):
        kind_of_damage = draw.choice(("flip", "cut", "join", "zero", "move"))
        place = draw.randrange(len(contents)) if contents else 0
        if kind_of_damage == "flip":
            for _ in range(draw.randint(1, 8)):
                # Damage to a header has the largest effect, and most headers are short.
                at = draw.randrange(min(len(contents), draw.choice((64, 512, 10**9))) or 1)
                if contents:
                    contents[at] ^= 1 << draw.randrange(8)
        elif kind_of_damage == "cut":
            contents = contents[:place]
        elif kind_of_damage == "join":
            contents = contents[:place] + draw.choice(others)[draw.randrange(200) :]
        elif kind_of_damage == "zero":
            contents[place : place + 40] = bytes(len(contents[place : place + 40]))
        else:
            contents = contents[place:] + contents[:place]
    return bytes(contents)


def make_samples():
    """Makes small undamaged files of every format."""
    small = [kind(name)[0] for name in KINDS]
    small += [tiff(COLORS[:9, :9], photometric="rgb", compression=c) for c in ("lzw", "deflate")]
    return small + make_small_photographs(24)


@pytest.mark.parametrize("part", range(4))
def test_each_damaged_file_is_read_or_refused_with_a_reason(part):
    draw, whole = random.Random(part), make_samples()
    read, reasons = 0, []
    for number in range(COUNT // 4):
        contents = damage(whole[number % len(whole)], whole, draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn that they read damaged data
            try:
                image = Decoder(3, "float32", convert=True)(contents)
                assert image.ndim == 3
                assert np.isfinite(image).all()
                read += 1
            except UnreadableImageError as error:
                reasons.append(str(error))
    assert read + len(reasons) == COUNT // 4
    assert all(reasons)
    assert read > 20
    assert len(reasons) > 100


@pytest.mark.slow
def test_a_folder_of_damaged_photographs_is_read_completely(tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow reads first, and Python the rest")
    draw, whole = random.Random(7), list(EIGHT_BITS.values())
    for number in range(200):
        contents = damage(whole[number % len(whole)], whole, draw)
        (tmp_path / f"{number:03}.jpg").write_bytes(contents)
    source = data.from_folder(tmp_path, channels=3, dtype="uint8")
    read = sum(1 for _ in source.dataset())
    unreadable = source.unreadable()
    assert read + len(unreadable) == 200
    assert min(read, len(unreadable)) > 20
