"""What kind the images of a source are, as a few of their files say."""

import numpy as np
from absl import logging
from PIL import Image

from keras_isd.argument_validation import check_positive_integer
from keras_isd.data.decoding import DTYPES, Decoder
from keras_isd.data.formats import UnreadableImageError

LARGE = 1_000_000  # pixels of a photograph
TRIES = 20  # of files that cannot be read, before the kind is taken for that of photographs


def decoder_for(files, names, channels=None, dtype=None, decode=None):
    """The `Decoder` of files, as the arguments say, or as the first, middle and last file are.

    Args:
        files: `ImageFiles`.
        names: list of str, of all files.
        channels: int or None: that of the files, where one channel becomes three, and of three and
            a transparency the three are kept.
        dtype: str or None: that of the files; see `Decoder`.
        decode: see `Decoder`.

    Raises:
        ImportError: if an extra of this package has to read them.
        ValueError: if `channels` or `dtype` is wrong, or not given where files differ.
    """
    if channels is not None:
        check_positive_integer("channels", channels)
    if dtype not in (None, *DTYPES):
        raise ValueError(
            f"Argument `dtype` must be one of {', '.join(DTYPES)}, or None. Received: {dtype=}"
        )
    count = len(names)
    found: dict[tuple[int, str], str] = {}
    is_large = False
    for row in sorted({0, count // 2, count - 1}):
        image, name = _first_stored(files, range(row, min(row + TRIES, count)), names, decode)
        if image is not None:
            is_large |= isinstance(image, Image.Image) and image.width * image.height > LARGE
            kind = (channels or _channels(image, name), dtype or _dtype(image))
            found.setdefault(kind, name)
    if len(found) > 1:
        kinds = "; ".join(f"{name} of {c} channels, {d}" for (c, d), name in found.items())
        raise ValueError(
            "Arguments `channels` and `dtype` must be given where images differ in them. "
            f"Received: {channels=}, {dtype=}, with {kinds}"
        )
    known_channels, known_dtype = next(iter(found), (channels or 3, dtype or "uint8"))
    return Decoder(
        known_channels, known_dtype, decode, convert=dtype is not None, is_large=is_large
    )


def _first_stored(files, rows, names, decode):
    for row in rows:
        try:
            return Decoder(decode=decode).stored(files.bytes_of(row)), names[row]
        except UnreadableImageError as error:
            if isinstance(error.__cause__, ImportError):
                raise error.__cause__ from None
    return None, None


def _channels(image, name):
    if not isinstance(image, Image.Image):
        return 3 if image.shape[-1] == 1 else image.shape[-1]
    if image.mode == "RGBA" and np.asarray(image.getchannel("A")).min() < 255:
        logging.warning(
            "%s and perhaps others are transparent in parts, which is left out: `channels=4` "
            "keeps it",
            name,
        )
    return 3


def _dtype(image):
    return "uint8" if isinstance(image, Image.Image) else str(image.dtype)
