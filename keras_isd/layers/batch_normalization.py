"""Batch normalisation that is PyTorch's to the last term."""

import keras
from keras import ops

from keras_isd import backend


@keras.saving.register_keras_serializable("keras_isd")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation over the last axis, with PyTorch's conventions.

    The defaults are PyTorch's, epsilon 1e-5 and a share of 0.1 for the new batch
    (`momentum=0.9` as Keras counts it), and so is the moving variance: it follows the
    unbiased variance of the batches. Features in evaluation mode then equal those of
    the authors' network. On the PyTorch backend it runs as one fused kernel.

    Args:
        momentum: float, share of the moving statistics that stays at each step.
        epsilon: float, added to the variance.
        synchronized: bool, for statistics over all replicas of a `tf.distribute` strategy, or over
            all processes of PyTorch.
        **kwargs: see `keras.layers.BatchNormalization`.

    Attributes:
        groups: int, 1 unless set: in training so many equal runs of the batch are normalised each
            by its own statistics, as they would be on so many devices.

    Raises:
        ValueError: for options of Keras' layer that this one does not have: `axis`
            other than -1, `center` or `scale` off, `renorm`.

    Source: `torch.nn.BatchNorm2d`.

    Example:

    >>> layer = keras_isd.BatchNormalization()
    >>> normalised = layer(np.array([[1.0], [3.0]]), training=True)
    >>> keras.ops.convert_to_numpy(layer.moving_variance).round(3)  # 0.9 * 1 + 0.1 * 2
    array([1.1], dtype=float32)
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, synchronized=False, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.synchronized = synchronized  # which Keras' own takes on TensorFlow alone
        self.groups = 1
        if self.axis != -1 or not (self.center and self.scale) or self.renorm:
            raise ValueError(
                "BatchNormalization of keras_isd takes axis=-1, center=True, scale=True and "
                f"renorm=False alone. Received: axis={self.axis}, center={self.center}, "
                f"scale={self.scale}, renorm={self.renorm}"
            )

    def call(self, inputs, training=None, mask=None):
        training = bool(training) and self.trainable
        count = ops.size(inputs) // inputs.shape[-1]
        # Of a single value PyTorch's kernel knows no variance.
        if training and self.groups > 1:
            return self._by_group(ops.cast(inputs, "float32"))
        fused = backend.fused_batch_norm if mask is None else None
        shared = self.synchronized and backend.replica_count() > 1
        if fused is not None and (not training or (count > 1 and not shared)):
            return fused(self, inputs, training)

        x = ops.cast(inputs, "float32")
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            count = ops.cast(count, "float32")
            mean, variance = self._moments(x, mask)
            if self.synchronized:
                mean, variance, count = _of_whole_batch(mean, variance, count)
            self._follow(mean, variance, count)
        outputs = ops.batch_normalization(
            x, mean, variance, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)

    def _follow(self, mean, variance, count):
        """Moves the moving statistics, of the unbiased variance of `count` values."""
        unbiased = variance * (count / ops.maximum(count - 1, 1))
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))

    def _by_group(self, x):
        parts = ops.reshape(x, (self.groups, -1, x.shape[-1]))
        mean, variance = ops.moments(parts, axes=[1], keepdims=True)
        # All groups have a part in the moving statistics.
        count = ops.cast(ops.size(parts) // (self.groups * x.shape[-1]), "float32")
        self._follow(ops.mean(mean, (0, 1)), ops.mean(variance, (0, 1)), count)
        normalised = (parts - mean) * ops.rsqrt(variance + self.epsilon)
        outputs = ops.reshape(normalised * self.gamma + self.beta, ops.shape(x))
        return ops.cast(outputs, self.compute_dtype)

    def _moments(self, inputs, mask):  # Keras' own, which knows masks
        synchronized = bool(self.synchronized)
        self.synchronized = False  # is seen to in `call`
        try:
            return super()._moments(inputs, mask)
        finally:
            self.synchronized = synchronized


def _of_whole_batch(mean, variance, count):
    """Mean, variance and count over all replicas, of each one's own.

    Not by way of the mean square, as Keras': that cancels where the mean is large.
    """
    total = backend.all_sum(count)
    whole_mean = backend.all_sum(mean * count) / total
    spread = variance + ops.square(mean - whole_mean)
    return whole_mean, backend.all_sum(spread * count) / total, total
