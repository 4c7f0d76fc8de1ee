"""What a pipeline asks of the images that it is given."""

from keras_isd.data.image_source import ImageSource
from keras_isd.image_range import warn_of_pixels
from keras_isd.quiet_tensorflow import tf

WANTED = (
    "Argument `dataset` must be a source of images, such as `keras_isd.data.from_folder`, "
    "`from_arrays` and `from_tfds` give, or a tf.data.Dataset of single images (height, width, 3) "
    "in [0, 255], or of pairs (image, integer label), not yet in batches."
)


def check_images(dataset, channels):
    """Raises a ValueError unless `dataset` is something to make views of.

    Args:
        dataset: `ImageSource` or `tf.data.Dataset`.
        channels: int, of an image; None where functions of one's own make views, of anything.
    """
    if isinstance(dataset, ImageSource):
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
        and (channels is None or image.shape.is_compatible_with((None, None, channels)))
        and (image.dtype.is_integer or image.dtype.is_floating)
        and all(x.shape.is_compatible_with(()) and x.dtype.is_integer for x in label)
    )
    if not right:
        raise ValueError(f"{WANTED} Received: a data set of {spec}")


def look_at_pixels(dataset):
    """Warns of a `tf.data.Dataset` of images whose first do not look like pixels in [0, 255].

    Sources are of 8 bits, and so need no look, nor does a data set of such.
    """
    if isinstance(dataset, ImageSource):
        return
    spec = dataset.element_spec
    if (spec[0] if isinstance(spec, tuple) else spec).dtype == tf.uint8:
        return
    first = [x[0] if isinstance(x, tuple) else x for x in dataset.take(8)]
    if first:
        warn_of_pixels([image.numpy() for image in first])
