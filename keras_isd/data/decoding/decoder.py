"""Decodes image files to arrays with the channels and the data type of their source."""

import numpy as np
from absl import logging
from PIL import Image

from keras_isd.data.decoding.dicom import is_dicom, read_dicom
from keras_isd.data.decoding.formats import UnreadableImageError, add_channel_axis, read_image
from keras_isd.data.decoding.stacks import is_stack, read_stack
from keras_isd.validation.arguments import check_positive_integer

DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32")
PILLOW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Conversions that are made without being requested.
CONVERSIONS = {"bool": "uint8", "int8": "int16", "float16": "float32", "float64": "float32"}


class Decoder:
    """Decodes the contents of an image file to an array `(H, W, channels)`.

    Call it on bytes. If `channels` is 3, a single channel is repeated, and a fourth (transparency)
    is dropped. If `channels` is 1, colours become grey as in Pillow's mode "L".

    Args:
        channels: int, number of channels. Defaults to 3.
        dtype: str, data type of the array. Defaults to `"uint8"`.
        decode: function from the contents of a file, bytes, to an array `(H, W)` or `(H, W, C)`,
            for formats that this package does not know; or None. Defaults to None.
        convert: bool, whether images of another data type are converted: between 8 and 16 bits by
            rescaling the whole range, to float32 without rescaling. Otherwise they count as
            unreadable. Defaults to False.
        is_large: bool, whether photographs are so large that decoding at a reduced scale saves more
            time than choosing the scale costs. Defaults to False.
        raw: bool, whether DICOM's values are left as they are stored. Defaults to False.

    Raises:
        UnreadableImageError: if the bytes are not a complete image, or an image with other channels
            or another data type.

    Example:

    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("L", (2, 1), 7).save(file, "PNG")
    >>> keras_isd.data.decoding.decoder.Decoder(channels=3)(file.getvalue())[0, 0].tolist()
    [7, 7, 7]
    """

    def __init__(
        self, channels=3, dtype="uint8", decode=None, convert=False, is_large=False, raw=False
    ):
        self.channels = channels
        self.is_grey = False  # whether the sampled files have one channel, if known
        self.dtype = dtype
        self.decode = decode
        self.convert = convert
        self.is_large = is_large
        self.raw = raw

    @property
    def is_rgb8(self):
        """Whether its images are RGB with 8 bits, which `decode_quickly` can decode."""
        return self.channels == 3 and self.dtype == "uint8" and self.decode is None

    def __call__(self, contents):
        image = self.read_stored(contents)
        if isinstance(image, Image.Image):
            if self.channels not in PILLOW_MODES:
                self._refuse(len(image.getbands()), "uint8")
            image = np.asarray(image.convert(PILLOW_MODES[self.channels]))
            image = image[..., None] if image.ndim == 2 else image
        return self._convert_channels(self._convert_dtype(image))

    def read_stored(self, contents):
        """Reads the image as it is stored: a Pillow image of 8 bits, or an array `(H, W, C)`."""
        try:
            image = self._read(contents)
        except UnreadableImageError:
            raise
        # Libraries raise errors of every kind for truncated or damaged data.
        except Exception as error:
            reason = str(error).split("\n")[0] or type(error).__name__
            raise UnreadableImageError(reason) from error
        if isinstance(image, np.ndarray):
            image = _normalize_array(image)
        return image

    def _read(self, contents):
        if self.decode is not None:
            return add_channel_axis(np.asarray(self.decode(contents)))
        if is_dicom(contents):
            return read_dicom(contents, self.raw)
        return read_stack(contents) if is_stack(contents) else read_image(contents)

    def _convert_channels(self, image):
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

    def _convert_dtype(self, image):
        dtype = str(image.dtype)
        if dtype == self.dtype:
            return image
        if not self.convert:
            self._refuse(image.shape[-1], dtype)
        if (dtype, self.dtype) == ("uint16", "uint8"):
            return (image >> 8).astype("uint8")
        if (dtype, self.dtype) == ("uint8", "uint16"):
            return image.astype("uint16") * 257
        if self.dtype == "float32":
            return image.astype("float32")
        return self._refuse(image.shape[-1], dtype)

    def _refuse(self, channels, dtype):
        raise UnreadableImageError(
            f"it has {channels} channels ({dtype}), expected {self.channels} ({self.dtype}); set "
            "the source's `channels` and `dtype` to convert all images"
        )


def _normalize_array(image):
    """Converts an array to one of `DTYPES` in native byte order; refuses NaN and infinity."""
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype == bool:
        image = image.astype("uint8") * 255
    image = image.astype(CONVERSIONS.get(str(image.dtype), image.dtype), copy=False)
    if str(image.dtype) not in DTYPES:
        raise UnreadableImageError(f"it is {image.dtype}, expected one of {', '.join(DTYPES)}")
    if 0 in image.shape:
        raise UnreadableImageError(f"it is empty, of shape {image.shape}")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        count = np.count_nonzero(~np.isfinite(image))
        raise UnreadableImageError(
            f"{count} of its {image.size} numbers are not finite; a custom `decode` can replace "
            "them"
        )
    return np.ascontiguousarray(image)


LARGE_PIXELS = 1_000_000  # pixels of a photograph that counts as large
MAX_TRIES = 20  # files to try from each sampled place on, until one can be read


def make_decoder(files, names, channels=None, dtype=None, decode=None, raw=False):
    """Makes the `Decoder` of files; reads three files to find channels and data type if needed.

    Args:
        files: `ImageFiles`.
        names: list of str, the names of all files.
        channels: int; None for the channels of the first, middle and last file, where one channel
            becomes three, and a fourth (transparency) is dropped. Defaults to None.
        dtype: str; None for the data type of these files. Defaults to None.
        decode, raw: see `Decoder`. Default to None and False.

    Returns:
        A `Decoder`.

    Raises:
        ImportError: if the extra that reads the files is not installed.
        ValueError: if `channels` or `dtype` is invalid, or None although the files differ.
    """
    if channels is not None:
        check_positive_integer("channels", channels)
    if dtype not in (None, *DTYPES):
        raise ValueError(
            f"Argument `dtype` must be one of {', '.join(DTYPES)}, or None. Received: {dtype=}"
        )
    count = len(names)
    kinds: dict[tuple[int, str], str] = {}
    stored = set()
    is_large = False
    for row in sorted({0, count // 2, count - 1}):
        rows = range(row, min(row + MAX_TRIES, count))
        if decode is None and (kind := files.large_kind(row)) is not None:
            stored.add(kind[0])
            known = 3 if kind[0] == 1 else kind[0]
            kinds.setdefault((channels or known, dtype or kind[1]), names[row])
            continue
        image, name = _read_first(files, rows, names, Decoder(decode=decode, raw=raw))
        if image is not None:
            is_large |= isinstance(image, Image.Image) and image.width * image.height > LARGE_PIXELS
            is_array = isinstance(image, np.ndarray)
            stored.add(image.shape[-1] if is_array else len(image.getbands()))
            kind = (channels or _count_channels(image, name), dtype or _find_dtype(image))
            kinds.setdefault(kind, name)
    if len(kinds) > 1:
        received = "; ".join(f"{name} of {c} channels, {d}" for (c, d), name in kinds.items())
        raise ValueError(
            "Arguments `channels` and `dtype` must be given if images differ in them. "
            f"Received: {channels=}, {dtype=}, with {received}"
        )
    kind_channels, kind_dtype = next(iter(kinds), (channels or 3, dtype or "uint8"))
    decoder = Decoder(kind_channels, kind_dtype, decode, dtype is not None, is_large, raw)
    decoder.is_grey = stored == {1}
    return decoder


def _read_first(files, rows, names, decoder):
    """Reads the first readable image among rows: pair of image and name, or of None."""
    for row in rows:
        try:
            return decoder.read_stored(files.read_bytes(row)), names[row]
        except UnreadableImageError as error:
            if isinstance(error.__cause__, ImportError):
                raise error.__cause__ from None
    return None, None


def _count_channels(image, name):
    """The channels to decode an image to; warns if transparency is dropped."""
    if not isinstance(image, Image.Image):
        return 3 if image.shape[-1] == 1 else image.shape[-1]
    if image.mode == "RGBA" and np.asarray(image.getchannel("A")).min() < 255:
        logging.warning(
            "%s and possibly other images have transparent pixels; transparency is dropped unless "
            "`channels=4`",
            name,
        )
    return 3


def _find_dtype(image):
    return "uint8" if isinstance(image, Image.Image) else str(image.dtype)
