"""A chain of operations, from images to views."""

import keras
import numpy as np

from keras_isd.augmentation.array_namespace import NUMPY, array_namespace, is_tensorflow
from keras_isd.augmentation.geometry import RandomResizedCrop
from keras_isd.augmentation.image_normalization import NormalizeImage
from keras_isd.augmentation.intensity import Normalize, Rescale
from keras_isd.compat.float32 import in_float32
from keras_isd.validation.images import (
    ANY_RANGE,
    PIXEL_RANGE,
    SAMPLED_IMAGES,
    warn_of_pixels,
)


@keras.saving.register_keras_serializable("keras_isd")
class Augmenter:
    """Makes views of images with a chain of operations, each with its own factors per image.

    One augmenter works in two places, with the same pixels for the same random numbers: in tf.data
    under any backend (`keras_isd.data.two_view_dataset`), and on the accelerator inside the
    training step (`ISDModel(..., query_augmenter=, key_augmenter=)`), with `keras.ops` alone.
    It computes in float32 under any dtype policy.

    Called on images `(B, H, W, C)` or `(H, W, C)` with values in `value_range`, of any type, it
    returns views `(B, size, size, C)` or `(size, size, C)`, float32. The second argument `numbers`,
    `(B, draws)` uniform in [0, 1), determines the views; without it numbers come from the backend's
    generator, which `keras.utils.set_random_seed` seeds.

    Args:
        operations: list of operations of `keras_isd.augmentation`. For images of several sizes the
            first must be a crop, which gives them one size, or a `NormalizeImage` before a crop.

    Attributes:
        draws: int, random numbers per image.
        channels: int, the number of channels that `Normalize` has statistics for; None without a
            `Normalize`.
        value_range: pair, the value range of images: that of `Rescale`, or [0, 255]; any for a
            `NormalizeImage`.
        crop_index: int, place of the first crop among the operations; None without one.

    Raises:
        ValueError: if the rank of images is not 3 or 4, or their number of channels is wrong.

    Example:

    >>> views = keras_isd.augmentation.Augmenter(
    ...     [keras_isd.augmentation.RandomResizedCrop(32), keras_isd.augmentation.HorizontalFlip()])
    >>> tuple(views(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """

    def __init__(self, operations):
        self.operations = list(operations)
        self.draws = sum(operation.draws for operation in self.operations)
        self._has_warned = False
        normalize = [o for o in self.operations if isinstance(o, Normalize)]
        self.channels = len(normalize[0].mean) if normalize else None
        rescale = [o for o in self.operations if isinstance(o, Rescale)]
        self.value_range = (rescale[0].low, rescale[0].high) if rescale else PIXEL_RANGE
        crops = [i for i, operation in enumerate(self.operations) if hasattr(operation, "size")]
        self.crop_index = crops[0] if crops else None
        if any(isinstance(operation, NormalizeImage) for operation in self.operations):
            self.value_range = ANY_RANGE

    @property
    def crop(self):
        """The first crop; None without one."""
        return None if self.crop_index is None else self.operations[self.crop_index]

    @property
    def crops_first(self):
        """Whether no random operation comes before the crop, so that images may differ in size."""
        before = self.operations[: self.crop_index]
        return self.crop is not None and not any(operation.draws for operation in before)

    @in_float32
    def __call__(self, images, numbers=None):
        xp = array_namespace(images)
        if len(images.shape) not in (3, 4) or self.channels not in (None, images.shape[-1]):
            c = self.channels or "C"
            raise ValueError(
                f"Images must be `(B, H, W, {c})` or `(H, W, {c})`, with the channels of the "
                f"statistics. Received: shape={tuple(images.shape)}"
            )
        single = len(images.shape) == 3
        self._warn_of_deep_pixels(images)
        images = xp.cast(xp.convert_to_tensor(images), "float32")
        if single:
            images = images[None]
        if numbers is None:
            numbers = _uniform((xp.shape(images)[0], self.draws), images)
        elif single:
            numbers = numbers[None]
        views = self.apply(images, xp.convert_to_tensor(numbers))
        return views[0] if single else views

    def _warn_of_deep_pixels(self, images):
        """Warns once, if called on arrays, of pixels above the 8 bits that are expected."""
        if self._has_warned or not isinstance(images, np.ndarray):
            return
        if self.value_range == PIXEL_RANGE and images.dtype != "uint8" and images.size:
            images = images if images.ndim == 4 else images[None]
            if images[:SAMPLED_IMAGES].max() > self.value_range[1]:
                self._has_warned = True
                warn_of_pixels(images)

    def with_crop(self, size, area):
        """Makes an augmenter with another crop and the same other operations.

        Small views of a part of the image, for `small_views` of a model, are
        `strong(32).with_crop(16, (0.05, 0.4))`.

        Args:
            size: int, side of the views in pixels.
            area: pair, the share of the image's area that a crop has.

        Returns:
            An `Augmenter`.

        Raises:
            ValueError: if this augmenter has no crop, or an argument is outside its range.

        Example:

        >>> view = keras_isd.augmentation.weak(32).with_crop(16, (0.05, 0.4))
        >>> tuple(view(np.zeros((4, 40, 50, 3), "uint8")).shape)
        (4, 16, 16, 3)
        """
        if self.crop_index is None:
            raise ValueError(f"The augmenter must have a crop. Received: {self.operations}")
        operations = [*self.operations]
        operations[self.crop_index] = RandomResizedCrop(size, area)
        return Augmenter(operations)

    def before_crop(self, image):
        """Applies the operations before the crop to an image `(H, W, C)`, in NumPy."""
        if not self.crop_index:
            return image
        image = image[None].astype("float32")
        for operation in self.operations[: self.crop_index]:
            image = operation.apply(NUMPY, image)
        return image[0]

    @in_float32
    def apply(self, images, numbers, operations=slice(None)):
        """Applies a slice of the operations to images `(B, H, W, C)`, float32 tensors.

        `numbers` `(B, draws)` are those of all operations.
        """
        xp = array_namespace(images)
        for index in range(len(self.operations))[operations]:
            factors = self.factors(xp, index, numbers, *images.shape[1:3])
            images = self.operations[index].apply(xp, images, **factors)
        return images

    def factors(self, xp, index, numbers, height, width):
        """Computes an operation's factors from the random numbers of all operations."""
        first = sum(operation.draws for operation in self.operations[:index])
        operation = self.operations[index]
        return operation.factors(xp, numbers[:, first : first + operation.draws], height, width)

    def get_config(self):
        return {"operations": [keras.saving.serialize_keras_object(o) for o in self.operations]}

    @classmethod
    def from_config(cls, config):
        return cls([keras.saving.deserialize_keras_object(o) for o in config["operations"]])


def _uniform(shape, images):
    if keras.backend.backend() != "tensorflow" and is_tensorflow(images):
        from keras_isd.compat.quiet_tensorflow import tf

        return tf.random.uniform(shape)
    return keras.random.uniform(shape)
