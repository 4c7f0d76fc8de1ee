"""Batch normalisation that equals PyTorch's."""

import keras
from keras import ops

from keras_isd import backend


@keras.saving.register_keras_serializable("keras_isd")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation over the last axis, with PyTorch's conventions.

    The defaults are PyTorch's: epsilon 1e-5 and a share of 0.1 for each new batch
    (`momentum=0.9` in Keras' terms). As in PyTorch the moving variance follows the
    unbiased variance of the batches, so features in evaluation mode equal those of
    the authors' network. On the PyTorch backend it runs as one fused kernel.

    Args:
        momentum: float, share of the moving statistics kept at each step. Defaults to
            0.9.
        epsilon: float, added to the variance. Defaults to 1e-5.
        synchronized: bool, whether statistics are computed over all replicas of a `tf.distribute`
            strategy, or over all PyTorch processes. Defaults to False.
        **kwargs: see `keras.layers.BatchNormalization`.

    Attributes:
        groups: int, number of equal parts of a training batch that are normalised with separate
            statistics, as on separate devices. 1 unless set.

    Raises:
        ValueError: for options of Keras' layer that are not supported: an `axis`
            other than -1, `center=False`, `scale=False`, `renorm`.

    Source: `torch.nn.BatchNorm2d`.

    Example:

    >>> layer = keras_isd.BatchNormalization()
    >>> normalised = layer(np.array([[1.0], [3.0]]), training=True)
    >>> keras.ops.convert_to_numpy(layer.moving_variance).round(3)  # 0.9 * 1 + 0.1 * 2
    array([1.1], dtype=float32)
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, synchronized=False, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.synchronized = synchronized  # Keras' own layer takes it on TensorFlow only
        self.groups = 1
        if self.axis != -1 or not (self.center and self.scale) or self.renorm:
            raise ValueError(
                "Arguments of BatchNormalization must be axis=-1, center=True, scale=True and "
                f"renorm=False. Received: axis={self.axis}, center={self.center}, "
                f"scale={self.scale}, renorm={self.renorm}"
            )

    def call(self, inputs, training=None, mask=None):
        training = bool(training) and self.trainable
        count = ops.size(inputs) // inputs.shape[-1]
        if training and self.groups > 1:
            return self._normalize_groups(ops.cast(inputs, "float32"))
        fused = backend.fused_batch_norm if mask is None else None
        shared = self.synchronized and backend.replica_count() > 1
        # PyTorch's kernel refuses a single value, which has no variance.
        if fused is not None and (not training or (count > 1 and not shared)):
            return fused(self, inputs, training)

        x = ops.cast(inputs, "float32")
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            count = ops.cast(count, "float32")
            mean, variance = self._moments(x, mask)
            if self.synchronized:
                mean, variance, count = _whole_batch_moments(mean, variance, count)
            self._move_statistics(mean, variance, count)
        outputs = ops.batch_normalization(
            x, mean, variance, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)

    def _move_statistics(self, mean, variance, count):
        """Updates the moving statistics, with the unbiased variance of `count` values."""
        unbiased = variance * (count / ops.maximum(count - 1, 1))
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))

    def _normalize_groups(self, x):
        parts = ops.reshape(x, (self.groups, -1, x.shape[-1]))
        mean, variance = ops.moments(parts, axes=[1], keepdims=True)
        # The moving statistics follow all groups.
        count = ops.cast(ops.size(parts) // (self.groups * x.shape[-1]), "float32")
        self._move_statistics(ops.mean(mean, (0, 1)), ops.mean(variance, (0, 1)), count)
        normalised = (parts - mean) * ops.rsqrt(variance + self.epsilon)
        outputs = ops.reshape(normalised * self.gamma + self.beta, ops.shape(x))
        return ops.cast(outputs, self.compute_dtype)

    def _moments(self, inputs, mask):  # overrides Keras', which handles masks
        synchronized = bool(self.synchronized)
        self.synchronized = False  # `call` synchronizes
        try:
            return super()._moments(inputs, mask)
        finally:
            self.synchronized = synchronized


def _whole_batch_moments(mean, variance, count):
    """Mean, variance and count over all replicas, from each replica's own.

    Keras combines mean squares, which suffers from cancellation if the mean is large.
    """
    total = backend.all_sum(count)
    whole_mean = backend.all_sum(mean * count) / total
    spread = variance + ops.square(mean - whole_mean)
    return whole_mean, backend.all_sum(spread * count) / total, total
