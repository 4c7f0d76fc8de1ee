"""What an augmentation is made of: each operation draws its factors, one set an image, and applies
them to a batch.

An operation has `draws`, how many uniform numbers in [0, 1) an image costs; `factors`, from those
numbers to its factors; and `apply`. All three are plain arithmetic on arrays, on `keras.ops` or on
TensorFlow's functions (`xp` below), so that tf.data and a training step give the same pixels for
the same numbers. Images are `(B, H, W, C)` float32; behind `Rescale`, or if they are of 8 bits, in
[0, 255].
"""

from keras_isd.validation.arguments import check_interval


class Operation:
    """Base of the operations; the arguments of the constructor are its configuration."""

    draws = 0

    def factors(self, xp, numbers, height, width):
        """Factors of each image, a dict of arrays `(B, ...)`, of numbers `(B, draws)`."""
        return {}

    def apply(self, xp, images, **factors):
        """The images with these factors applied."""
        raise NotImplementedError

    def get_config(self):
        return dict(vars(self))

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class RandomApply(Operation):
    """Base of operations that an image undergoes with probability `rate`.

    A subclass defines `change`, and `change_factors` if the change has any.
    """

    draws = 1

    def __init__(self, rate):
        check_interval("rate", (0, rate), 0, 1)
        self.rate = rate

    def factors(self, xp, numbers, height, width):
        return {"chosen": numbers[:, 0] < self.rate, **self.change_factors(xp, numbers[:, 1:])}

    def change_factors(self, xp, numbers):
        """Factors of the change, of numbers `(B, draws - 1)`."""
        return {}

    def apply(self, xp, images, chosen, **factors):
        if is_one(images):  # one that is not chosen then costs nothing
            return xp.cond(chosen[0], lambda: self.change(xp, images, **factors), lambda: images)
        return xp.where(chosen[:, None, None, None], self.change(xp, images, **factors), images)

    def change(self, xp, images, **factors):
        """All images changed."""
        raise NotImplementedError


def planes_of(images):
    """The channels of images, a list of `(B, H, W)`."""
    return [images[..., channel] for channel in range(images.shape[-1])]


def per_image(values):
    """A number of each image, `(B,)`, for its plane."""
    return values[:, None, None]


def is_one(images):
    """Whether it is known that the batch is of one image, which may choose its own way."""
    return images.shape[0] == 1


def between(numbers, low, high):
    """Numbers uniform in [0, 1), made uniform in [low, high)."""
    return low + (high - low) * numbers
