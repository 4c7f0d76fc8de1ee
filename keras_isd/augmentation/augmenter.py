"""A chain of operations, from images to views."""

import keras

from keras_isd.augmentation.array_namespace import array_namespace, is_tensorflow
from keras_isd.augmentation.intensity import Normalize, Rescale
from keras_isd.compat.float32 import in_float32
from keras_isd.validation.images import PIXELS


@keras.saving.register_keras_serializable("keras_isd")
class Augmenter:
    """Makes views of images: operations one after the other, each with its factors per image.

    One augmenter serves in two places, with the same pixels for the same numbers: in tf.data
    under any backend (`keras_isd.data.two_view_dataset`), and on the accelerator inside the
    training step (`ISDModel(..., query_augmenter=, key_augmenter=)`), from `keras.ops` alone.
    It computes in float32 under any policy.

    Args:
        operations: list of operations of `keras_isd.augmentation`. If images differ in size, the
            first must be a crop.

    Called on images `(B, H, W, C)` or `(H, W, C)`, values in `value_range` of any type, it gives
    views `(B, size, size, C)` or `(size, size, C)`, float32. Its second argument `numbers`,
    `(B, draws)` uniform in [0, 1), determines them; left out, they come from the backend's own
    generator, which follows `keras.utils.set_random_seed`.

    Attributes:
        draws: int, how many numbers an image takes.
        channels: int, C, how many channels images must have: those that `Normalize` has statistics
            of; None without one.
        value_range: pair, the values that images have: what `Rescale` says, or [0, 255].

    Raises:
        ValueError: if images are not of rank 3 or 4, or have another number of channels.

    Example:

    >>> views = keras_isd.augmentation.Augmenter(
    ...     [keras_isd.augmentation.RandomResizedCrop(32), keras_isd.augmentation.HorizontalFlip()])
    >>> tuple(views(np.zeros((4, 40, 50, 3), "uint8")).shape)
    (4, 32, 32, 3)
    """

    def __init__(self, operations):
        self.operations = list(operations)
        self.draws = sum(operation.draws for operation in self.operations)
        normalize = [o for o in self.operations if isinstance(o, Normalize)]
        self.channels = len(normalize[0].mean) if normalize else None
        rescale = [o for o in self.operations if isinstance(o, Rescale)]
        self.value_range = (rescale[0].low, rescale[0].high) if rescale else PIXELS

    @in_float32
    def __call__(self, images, numbers=None):
        xp = array_namespace(images)
        if len(images.shape) not in (3, 4) or self.channels not in (None, images.shape[-1]):
            c = self.channels or "C"
            raise ValueError(
                f"Images must be `(B, H, W, {c})` or `(H, W, {c})`, of as many channels as there "
                f"are statistics of. Received: shape={tuple(images.shape)}"
            )
        single = len(images.shape) == 3
        images = xp.cast(xp.convert_to_tensor(images), "float32")
        if single:
            images = images[None]
        if numbers is None:
            numbers = _uniform((xp.shape(images)[0], self.draws), images)
        elif single:
            numbers = numbers[None]
        views = self.apply(images, xp.convert_to_tensor(numbers))
        return views[0] if single else views

    @in_float32
    def apply(self, images, numbers, operations=slice(None)):
        """Applies a slice of the operations; `numbers` `(B, draws)` are those of all of them.

        `images` are `(B, H, W, C)` float32 tensors.
        """
        xp = array_namespace(images)
        chosen = range(len(self.operations))[operations]
        first = 0
        for index, operation in enumerate(self.operations):
            if index in chosen:
                own = numbers[:, first : first + operation.draws]
                factors = operation.factors(xp, own, *images.shape[1:3])
                images = operation.apply(xp, images, **factors)
            first += operation.draws
        return images

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
