"""Files with bytes flipped, cut and joined: each is read or named, and none stops the rest."""

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
    small_photographs_of_pillow,
    tiff,
)

pytestmark = pytest.mark.one_backend("files are read alike under any backend")

COUNT = 2_000


def damaged(contents, others, draw):
    """A file with one to three kinds of damage."""
    contents = bytearray(contents)
    for _ in range(draw.randint(1, 3)):
        damage = draw.choice(("flip", "cut", "join", "zero", "move"))
        place = draw.randrange(len(contents)) if contents else 0
        if damage == "flip":
            for _ in range(draw.randint(1, 8)):
                # Most headers are short, and of those damage tells most.
                at = draw.randrange(min(len(contents), draw.choice((64, 512, 10**9))) or 1)
                if contents:
                    contents[at] ^= 1 << draw.randrange(8)
        elif damage == "cut":
            contents = contents[:place]
        elif damage == "join":
            contents = contents[:place] + draw.choice(others)[draw.randrange(200) :]
        elif damage == "zero":
            contents[place : place + 40] = bytes(len(contents[place : place + 40]))
        else:
            contents = contents[place:] + contents[:place]
    return bytes(contents)


def samples():
    """Small files of every format, the whole ones."""
    small = [kind(name)[0] for name in KINDS]
    small += [tiff(COLORS[:9, :9], photometric="rgb", compression=c) for c in ("lzw", "deflate")]
    return small + small_photographs_of_pillow(24)


@pytest.mark.parametrize("part", range(4))
def test_each_damaged_file_is_read_or_named(part):
    draw, whole = random.Random(part), samples()
    read, reasons = 0, []
    for number in range(COUNT // 4):
        contents = damaged(whole[number % len(whole)], whole, draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, that they make do with what there is
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
def test_a_folder_of_damaged_photographs_is_read_to_its_end(tmp_path):
    pytest.importorskip("tensorflow", reason="it reads first, and Python what it cannot")
    draw, whole = random.Random(7), list(EIGHT_BITS.values())
    for number in range(200):
        contents = damaged(whole[number % len(whole)], whole, draw)
        (tmp_path / f"{number:03}.jpg").write_bytes(contents)
    source = data.from_folder(tmp_path, channels=3, dtype="uint8")
    read = sum(1 for _ in source.dataset())
    unreadable = source.unreadable()
    assert read + len(unreadable) == 200
    assert min(read, len(unreadable)) > 20
