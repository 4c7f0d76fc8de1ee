"""The channels and the range of values of images that are drawn."""

import numpy as np

PERCENTILES = (0.5, 99.5)  # the values that are drawn black and white
MAX_PIXELS = 5000  # of an image, from which percentiles are computed
MAX_COLORS = 4  # channels that may be colours, which share a range


def select_rgb(image, rgb=None):
    """Selects three channels of an image `(H, W, C)` to draw, or repeats the first one."""
    if rgb is None:
        rgb = (0, 1, 2) if image.shape[-1] >= 3 else (0, 0, 0)
    return image[..., list(rgb)]


def unit_scale(images, is_color=None):
    """A function that scales images to [0, 1], all alike, so that brightness can be compared.

    8-bit images are scaled from [0, 255], others by percentiles of all of them.

    Args:
        images: list of arrays `(H, W, C)`.
        is_color: bool, whether channels share a range. Defaults to None: if there are up to four.
    """
    deep = [image for image in map(np.asarray, images) if image.dtype != "uint8"]
    if not deep:
        return lambda image: scale_to_unit(image, (0, 255))
    if is_color is None:
        is_color = deep[0].shape[-1] <= MAX_COLORS
    samples = [_some_pixels(image) for image in deep]
    pixels = np.concatenate([one.ravel() for one in samples] if is_color else samples)
    low, high = np.percentile(pixels, PERCENTILES, axis=None if is_color else 0)
    deep_range = low, np.where(high > low, high, low + 1)
    return lambda image: scale_to_unit(
        image, (0, 255) if np.asarray(image).dtype == "uint8" else deep_range
    )


def _some_pixels(image):
    """Evenly spaced pixels of an image, `(N, C)` float32."""
    flat = image.reshape(-1, image.shape[-1])
    pixels = flat[:: max(1, len(flat) // MAX_PIXELS)].astype("float32")
    return np.nan_to_num(pixels, posinf=0, neginf=0)


def scale_to_unit(image, value_range):
    """Scales an image to [0, 1]."""
    low, high = (np.asarray(value, "float32") for value in value_range)
    return np.clip((np.asarray(image, "float32") - low) / np.maximum(high - low, 1e-12), 0, 1)
