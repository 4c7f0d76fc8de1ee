"""Base classes of augmentation operations, which draw factors per image and apply them to a batch.

An operation has `draws`, the number of uniform numbers in [0, 1) per image; `factors`, from those
numbers to its factors; and `apply`. All are plain array arithmetic on `keras.ops` or TensorFlow's
functions (`xp` below), so tf.data and a training step compute the same pixels from the same
numbers. Images are `(B, H, W, C)` float32; 8-bit images, and others after `Rescale`, are in [0,
255].
"""

from keras_isd.validation.arguments import check_interval


class Operation:
    """Base class of operations; the constructor's arguments are the configuration."""

    draws = 0

    def factors(self, xp, numbers, height, width):
        """Computes the factors of each image, a dict of arrays `(B, ...)`, from `(B, draws)`."""
        return {}

    def apply(self, xp, images, **factors):
        """Applies the factors to the images."""
        raise NotImplementedError

    def get_config(self):
        return dict(vars(self))

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class RandomApply(Operation):
    """Base class of operations that are applied with probability `rate`.

    A subclass defines `change`, and `change_factors` if the change has factors.
    """

    draws = 1

    def __init__(self, rate):
        check_interval("rate", (0, rate), 0, 1)
        self.rate = rate

    def factors(self, xp, numbers, height, width):
        return {"chosen": numbers[:, 0] < self.rate, **self.change_factors(xp, numbers[:, 1:])}

    def change_factors(self, xp, numbers):
        """Computes the factors of the change from numbers `(B, draws - 1)`."""
        return {}

    def apply(self, xp, images, chosen, **factors):
        if is_single_image(images):  # an image that is not chosen costs nothing
            return xp.cond(chosen[0], lambda: self.change(xp, images, **factors), lambda: images)
        return xp.where(chosen[:, None, None, None], self.change(xp, images, **factors), images)

    def change(self, xp, images, **factors):
        """Changes all images."""
        raise NotImplementedError


def split_planes(images):
    """Splits images into their channels, a list of `(B, H, W)`."""
    return [images[..., channel] for channel in range(images.shape[-1])]


def per_image(values):
    """Reshapes one number per image, `(B,)`, so that it broadcasts over planes `(B, H, W)`."""
    return values[:, None, None]


def is_single_image(images):
    """Whether the batch is known to hold one image, for which branches are possible."""
    return images.shape[0] == 1


def between(numbers, low, high):
    """Scales numbers that are uniform in [0, 1) to be uniform in [low, high)."""
    return low + (high - low) * numbers
