"""Crops at another size, and blur: both are sums over neighbours with weights of each image."""


def crop_and_resize(xp, images, top, left, height, width, size):
    """A part of each image, `size` pixels squared, as Pillow's bilinear `resize` of that part.

    Bilinear with antialiasing is linear and separable: one matrix for the rows and one for the
    columns of each image. As two products it runs at the speed of an accelerator, and on no
    backend does it need shapes that differ by image.

    Args:
        xp: array functions.
        images: `(B, H, W, C)`.
        top, left, height, width: `(B,)`, the part, in whole pixels.
        size: int.

    Returns:
        `(B, size, size, C)`.
    """
    rows, columns, channels = images.shape[1:]
    down = _triangle_weights(xp, top, height, rows, size)
    across = _triangle_weights(xp, left, width, columns, size)
    images = xp.matmul(down, xp.reshape(images, (-1, rows, columns * channels)))
    images = xp.reshape(images, (-1, size, columns, channels))
    # Channels move out of the way, so that the columns are contracted: (B, C, size, columns).
    planes = xp.stack([images[..., channel] for channel in range(channels)], axis=1)
    planes = xp.matmul(planes, xp.swapaxes(across, -2, -1)[:, None])
    return xp.stack([planes[:, channel] for channel in range(channels)], axis=-1)


def _triangle_weights(xp, start, length, inputs, outputs):
    """Weights `(B, outputs, inputs)` of Pillow's bilinear filter over `start` to `start + length`.

    The filter is as wide as an output pixel where the image shrinks, so that it is antialiased.
    """
    scale = length / outputs
    support = xp.maximum(scale, 1.0)[:, None, None]
    centre = (xp.cast(xp.arange(outputs), "float32") + 0.5)[None] * scale[:, None]
    place = xp.cast(xp.arange(inputs), "float32")[None] + 0.5 - start[:, None]
    weights = xp.maximum(0.0, 1.0 - xp.abs(place[:, None] - centre[:, :, None]) / support)
    inside = xp.logical_and(place > 0, place < length[:, None])[:, None]
    weights = xp.where(inside, weights, 0.0)
    return weights / xp.sum(weights, axis=-1, keepdims=True)


def gaussian_blur(xp, images, sigma, radius):
    """Blurs each image by its own Gaussian; a sigma of 0 changes nothing.

    Args:
        xp: array functions.
        images: `(B, H, W, C)`, H and W greater than `radius`.
        sigma: `(B,)`, in pixels.
        radius: int, how far the sum goes; three times sigma leaves out 0.3 %.

    Returns:
        `(B, H, W, C)`.
    """
    offsets = xp.cast(xp.arange(radius + 1), "float32")[None]
    weights = xp.exp(-0.5 * (offsets / xp.maximum(sigma, 1e-3)[:, None]) ** 2)
    total = 2.0 * xp.sum(weights, axis=1, keepdims=True) - 1.0  # the centre counts once
    weights = (weights / total)[:, :, None, None, None]
    for axis in (1, 2):
        length = images.shape[axis]
        padding = [[0, 0]] * 4
        padding[axis] = [radius, radius]
        padded = xp.pad(images, padding, mode="reflect")

        def shifted(by, padded=padded, axis=axis, length=length):
            window = slice(radius + by, radius + by + length)
            return padded[:, window] if axis == 1 else padded[:, :, window]

        images = weights[:, 0] * images
        for offset in range(1, radius + 1):
            images = images + weights[:, offset] * (shifted(-offset) + shifted(offset))
    return images
