"""The queue of anchors: the teacher's recent embeddings, first in, first out."""

import os

import keras
from absl import logging
from keras import ops

from keras_isd import backend
from keras_isd.compat.float32 import in_float32
from keras_isd.validation.arguments import check_positive_integer, check_seed


@keras.saving.register_keras_serializable("keras_isd")
class MemoryQueue(keras.layers.Layer):
    """First-in-first-out queue of the teacher's recent embeddings.

    Its rows are the anchors that ISD compares images with. Until the queue has
    been filled once, rows not yet written are random unit vectors, as in the
    authors' code; `filled` is the number of real rows.

    All state is non-trainable, saved with the model, and unaffected by
    mixed-precision policies.

    Args:
        size: int >= 1, the number K of anchors.
        dim: int >= 1, the width D of an embedding.
        seed: int, seed of the initial rows, or None. Defaults to None.
        storage_dtype: `"float32"`, or `"bfloat16"`, which takes half of the memory and rounds each
            coordinate by up to 0.4 %. Computations with the rows are float32 in either case.
            Defaults to `"float32"`.
        with_indices: bool, whether each row also keeps the number of its image, so that anchors can
            be shown as images. Defaults to False.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Attributes:
        embeddings: `(K, D)`, unit rows, of the storage dtype.
        labels: `(K,)` int32, the class of each row, -1 if unknown. They are used for
            the purity metric only and never reach the loss.
        indices: `(K,)` int32, the image of each row, -1 if unknown; None if not kept.
        pointer: `()` int32 in `[0, K)`, the row that the next key will overwrite.
        filled: `()` int32 in `[0, K]`, the number of rows that hold real embeddings.

    Raises:
        ValueError: if `size` or `dim` is not a positive integer, `storage_dtype` is unknown, or the
            queue is larger than the machine's memory.

    Source: `ISD._dequeue_and_enqueue` in the authors' `train_isd_plus.py`, without
    its condition that K be a multiple of the batch size.

    Example:

    >>> queue = keras_isd.MemoryQueue(size=5, dim=2)
    >>> queue.enqueue(np.eye(2, dtype="float32"), labels=np.array([3, 4]))
    >>> int(queue.pointer.value), int(queue.filled.value)
    (2, 2)
    """

    def __init__(self, size, dim, seed=None, storage_dtype="float32", with_indices=False, **kwargs):
        check_positive_integer("size", size)
        check_positive_integer("dim", dim)
        check_seed("seed", seed)
        if storage_dtype not in ("float32", "bfloat16"):
            raise ValueError(
                'Argument `storage_dtype` of MemoryQueue must be "float32" or "bfloat16". '
                f"Received: {storage_dtype=}"
            )
        _check_memory(size, dim, storage_dtype)
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = int(size)  # a NumPy integer could not be saved
        self.dim = int(dim)
        self.seed = seed
        self.storage_dtype = storage_dtype

        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(size, dim),
            initializer=_RandomUnitRows(seed),
            dtype=storage_dtype,
            autocast=False,
            trainable=False,
        )
        self.labels = self._integer_weight("labels", (size,), -1)
        self.indices = self._integer_weight("indices", (size,), -1) if with_indices else None
        self.pointer = self._integer_weight("pointer", (), 0)
        self.filled = self._integer_weight("filled", (), 0)
        self.built = True

    def _integer_weight(self, name, shape, value):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.Constant(value),
            dtype="int32",
            trainable=False,
        )

    @in_float32
    def enqueue(self, keys, labels=None, healthy=True, indices=None):
        """Writes a batch of keys over the oldest rows.

        Key i of the batch goes to row `(pointer + i) % K`; a batch larger than the
        queue leaves its last K keys. Call it after the loss has read the queue.

        Args:
            keys: `(B, D)`, unit rows, any B. In a step of a `tf.distribute` strategy every
                replica passes its own keys, and every queue stores those of all, in one order.
            labels: `(B,)` integers, -1 if unknown. Defaults to None: all unknown.
            healthy: scalar bool or tensor; if False, nothing changes. Pass whether
                the loss is finite: no NaN then enters the queue, and the write
                depends on the loss, so XLA knows that the old rows have been read
                and overwrites them in place. Defaults to True.
            indices: `(B,)` integers, the keys' images. Defaults to None: unknown.
        """
        unknown = ops.full((ops.shape(keys)[0],), -1, dtype="int32")
        columns = [(self.embeddings, keys), (self.labels, unknown if labels is None else labels)]
        if self.indices is not None:
            columns.append((self.indices, unknown if indices is None else indices))
        columns = [
            (variable, backend.all_gather(ops.cast(values, variable.dtype)))
            for variable, values in columns
        ]
        batch = ops.shape(columns[0][1])[0]
        columns = [(variable, values[-self.size :]) for variable, values in columns]
        kept = ops.shape(columns[0][1])[0]

        rows = (self.pointer + (batch - kept) + ops.arange(kept, dtype="int32")) % self.size
        for variable, values in columns:
            _overwrite_rows(variable, rows, values, healthy)
        entered = ops.where(healthy, batch, 0)
        self.pointer.assign((self.pointer + entered) % self.size)
        self.filled.assign(ops.minimum(self.filled + entered, self.size))

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "dim": self.dim,
            "seed": self.seed,
            "storage_dtype": self.storage_dtype,
            "with_indices": self.indices is not None,
        }


class _RandomUnitRows(keras.initializers.Initializer):
    def __init__(self, seed):
        if seed is None and keras.distribution.distribution() is not None:
            # Keras compiles the creation of large variables, where a global seed must not change.
            seed = int(keras.random.randint((), 0, 2**31 - 1))
        self.seed = seed

    def __call__(self, shape, dtype=None):
        normal = keras.random.normal(shape, dtype="float32", seed=self.seed)
        return ops.cast(ops.normalize(normal, axis=-1), dtype)


def _check_memory(size, dim, storage_dtype):
    """Raises a ValueError for a queue larger than the machine's memory, before it is allocated."""
    if keras.distribution.distribution() is not None or not hasattr(os, "sysconf"):
        return  # it may be split over several machines; Windows has no `sysconf`
    taken = size * dim * (2 if storage_dtype == "bfloat16" else 4)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if taken > memory / 4:
        logging.warning("The queue of %d anchors takes %.1f GiB", size, taken / 2**30)
    if taken > memory:
        raise ValueError(
            f"Argument `queue_size` must fit into memory: {size} anchors of {dim} numbers take "
            f"{taken / 2**30:.0f} GiB. Received: {size}, on a machine with {memory / 2**30:.0f} GiB"
        )


def _overwrite_rows(variable, rows, values, healthy):
    backend.overwrite_rows(
        variable, rows, ops.where(healthy, values, ops.take(variable, rows, axis=0))
    )
