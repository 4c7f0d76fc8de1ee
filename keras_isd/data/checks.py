"""What a pipeline asks of the images that it is given."""

from keras_isd.data.image_source import ImageSource
from keras_isd.image_range import PIXELS, warn_of_pixels
from keras_isd.quiet_tensorflow import tf

WANTED = (
    "Argument `dataset` must be a source of images, such as `keras_isd.data.from_folder`, "
    "`from_arrays` and `from_tfds` give, or a tf.data.Dataset of single images (height, width, "
    "channels), or of pairs (image, integer label), not yet in batches."
)


def check_images(dataset, channels):
    """Raises a ValueError unless `dataset` is something to make views of.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`.
        channels: dict from names of views to how many channels an image must have for them, None
            if that is all the same.
    """
    if isinstance(dataset, ImageSource):
        _check_channels(dataset.channels, channels)
        return
    if not isinstance(dataset, tf.data.Dataset):
        received = f"{type(dataset).__name__}" + (
            f" of shape {dataset.shape}" if hasattr(dataset, "shape") else f" {dataset!r:.80}"
        )
        raise ValueError(f"{WANTED} Received: {received}")
    spec = dataset.element_spec
    image, *label = spec if isinstance(spec, tuple) else (spec,)
    right = (
        isinstance(image, tf.TensorSpec)
        and len(label) <= 1
        and (not channels or image.shape.is_compatible_with((None, None, None)))
        and (image.dtype.is_integer or image.dtype.is_floating)
        and all(x.shape.is_compatible_with(()) and x.dtype.is_integer for x in label)
    )
    if not right:
        raise ValueError(f"{WANTED} Received: a data set of {spec}")
    if image.shape.rank:
        _check_channels(image.shape[-1], channels)


def _check_channels(received, channels):
    for name, wanted in channels.items():
        if None not in (received, wanted) and received != wanted:
            raise ValueError(
                f"Argument `{name}` must make views of images of {received} channels, as they are: "
                f"`weak(size, statistics)` and the like take as many as there are statistics of, "
                f"which `keras_isd.data.channel_statistics(source)` measures. Received: {name} of "
                f"{wanted} channels"
            )


def look_at_pixels(dataset, ranges):
    """Warns of images whose first do not look like values that the views are made for.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`.
        ranges: dict from names of views to the ranges of values that they are made for. Images of
            8 bits in the range of such need no look.
    """
    spec = None if isinstance(dataset, ImageSource) else dataset.element_spec
    dtype = dataset.dtype if spec is None else (spec[0] if isinstance(spec, tuple) else spec).dtype
    ranges = [r for r in ranges.values() if dtype != "uint8" or r != PIXELS]
    if not ranges:
        return
    first = dataset.dataset().take(8) if spec is None else dataset.take(8)
    images = [(x[0] if isinstance(x, tuple) else x).numpy() for x in first]
    for value_range in {str(r): r for r in ranges}.values():  # one that is measured holds lists
        warn_of_pixels(images, value_range)
