"""Image files of any kind to arrays of the channels and the depth of a source."""

import numpy as np
from absl import logging
from PIL import Image

from keras_isd.data.decoding.formats import UnreadableImageError, read_image, with_channels
from keras_isd.validation.arguments import check_positive_integer

DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32")
PILLOW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# What loses nothing, and needs no word.
WIDER = {"bool": "uint8", "int8": "int16", "float16": "float32", "float64": "float32"}


class Decoder:
    """From the contents of a file to an image `(H, W, channels)` of one depth.

    One channel becomes three equal ones, and of three and a transparency the three are kept, where
    three are wanted; colours become grey by Pillow's "L" where one is.

    Args:
        channels: int, how many an image has.
        dtype: str, what its numbers are.
        decode: function from the contents of a file, bytes, to an array `(H, W)` or `(H, W, C)`,
            for formats that are not known here; or None.
        convert: bool, whether images of another depth are made of this one, 16 bits to 8 and the
            other way by their share of the whole range, others to float32 as they are. Otherwise
            they are unreadable.
        is_large: bool, whether photographs are large, so that to decode them at a reduced scale
            saves more than it costs to find out which will do.

    Called on bytes it gives an array.

    Raises:
        UnreadableImageError: if there is no whole image in them, or one of another kind.

    Example:

    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("L", (2, 1), 7).save(file, "PNG")
    >>> keras_isd.data.decoding.decoder.Decoder(channels=3)(file.getvalue())[0, 0].tolist()
    [7, 7, 7]
    """

    def __init__(self, channels=3, dtype="uint8", decode=None, convert=False, is_large=False):
        self.channels = channels
        self.dtype = dtype
        self.decode = decode
        self.convert = convert
        self.is_large = is_large

    @property
    def is_of_photographs(self):
        """Whether it gives what `decode_quickly` does: RGB of 8 bits."""
        return self.channels == 3 and self.dtype == "uint8" and self.decode is None

    def __call__(self, contents):
        image = self.stored(contents)
        if isinstance(image, Image.Image):
            if self.channels not in PILLOW_MODES:
                self._refuse(len(image.getbands()), "uint8")
            image = np.asarray(image.convert(PILLOW_MODES[self.channels]))
            image = image[..., None] if image.ndim == 2 else image
        return self._of_channels(self._of_dtype(image))

    def stored(self, contents):
        """The image as it is stored: a Pillow image of 8 bits, or an array `(H, W, C)`."""
        try:
            if self.decode is None:
                image = read_image(contents)
            else:
                image = with_channels(np.asarray(self.decode(contents)))
        except UnreadableImageError:
            raise
        # Of data that is cut off or makes no sense libraries raise errors of every kind.
        except Exception as error:
            reason = str(error).split("\n")[0] or type(error).__name__
            raise UnreadableImageError(reason) from error
        if isinstance(image, np.ndarray):
            image = _native(image)
        return image

    def _of_channels(self, image):
        channels = image.shape[-1]
        if channels == self.channels:
            return image
        if channels == 1 and self.channels == 3:
            return np.repeat(image, 3, axis=-1)
        if channels in (3, 4) and image.dtype == "uint8" and self.channels in (1, 3):
            colors = Image.fromarray(np.ascontiguousarray(image[..., :3]))
            return np.asarray(colors.convert(PILLOW_MODES[self.channels])).reshape(
                *image.shape[:2], self.channels
            )
        return self._refuse(channels, image.dtype)

    def _of_dtype(self, image):
        found = str(image.dtype)
        if found == self.dtype:
            return image
        if not self.convert:
            self._refuse(image.shape[-1], found)
        if (found, self.dtype) == ("uint16", "uint8"):
            return (image >> 8).astype("uint8")
        if (found, self.dtype) == ("uint8", "uint16"):
            return image.astype("uint16") * 257
        if self.dtype == "float32":
            return image.astype("float32")
        return self._refuse(image.shape[-1], found)

    def _refuse(self, channels, dtype):
        raise UnreadableImageError(
            f"it is of {channels} channels and {dtype}, and the other images of {self.channels} "
            f"and {self.dtype}; the source's `channels` and `dtype` say what is made of all"
        )


def _native(image):
    """An array of one of `DTYPES`, in this machine's byte order; of floats all are finite."""
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype == bool:
        image = image.astype("uint8") * 255
    image = image.astype(WIDER.get(str(image.dtype), image.dtype), copy=False)
    if str(image.dtype) not in DTYPES:
        raise UnreadableImageError(f"it is of {image.dtype}, and not of {', '.join(DTYPES)}")
    if 0 in image.shape:
        raise UnreadableImageError(f"it is of shape {image.shape}")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        count = np.count_nonzero(~np.isfinite(image))
        raise UnreadableImageError(
            f"{count} of its {image.size} numbers are not finite; a `decode` of your own may fill "
            "them"
        )
    return np.ascontiguousarray(image)


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
