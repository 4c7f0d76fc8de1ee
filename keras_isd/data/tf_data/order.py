"""The order of the images in a pass: a function of seed and epoch."""

import dataclasses

from keras_isd.compat.quiet_tensorflow import tf
from keras_isd.validation.arguments import check_positive_integer, check_seed


@dataclasses.dataclass(frozen=True)
class EpochOrder:
    """The order in which a pass reads images, and how it batches them.

    Attributes: the arguments of `keras_isd.data.two_view_dataset` with the same names.
    """

    batch_size: int
    seed: int | None = None
    shuffle_buffer: int = 50_000
    drop_remainder: bool = True
    initial_epoch: int = 0
    initial_step: int = 0
    num_shards: int = 1
    shard_index: int = 0

    def __post_init__(self):
        check_positive_integer("batch_size", self.batch_size)
        check_seed("seed", self.seed)
        is_shard = 0 <= self.shard_index < self.num_shards
        if not is_shard or (self.num_shards > 1 and not self.drop_remainder):
            raise ValueError(
                "Argument `shard_index` must be in [0, num_shards), and `drop_remainder` must be "
                f"True for several shards. Received: shard_index={self.shard_index}, "
                f"num_shards={self.num_shards}, drop_remainder={self.drop_remainder}"
            )

    def steps(self, count):
        """Counts the batches of a complete pass over `count` images; None if `count` is None.

        Raises:
            ValueError: if there is no batch, or `initial_step` is outside the pass.
        """
        if count is None:
            steps = None
        else:
            batch = self._global_batch_size
            steps = count // batch if self.drop_remainder else -(-count // batch)
        if steps == 0:
            raise ValueError(
                "Argument `batch_size` must be at most the number of images per shard, unless "
                f"`drop_remainder=False`. Received: batch_size={self.batch_size}, {count} images, "
                f"num_shards={self.num_shards}"
            )
        if self.initial_step < 0 or (steps is not None and self.initial_step >= steps):
            raise ValueError(
                f"Argument `initial_step` must be in [0, {steps}), the number of steps per epoch. "
                f"Received: initial_step={self.initial_step}"
            )
        return steps

    def rows(self, count, epoch):
        """Makes batches of a source's rows, in the order of an epoch.

        The order is a pseudo-random permutation that is computed element by element: it takes no
        memory and can start at any step.
        """
        places = self.batch(tf.data.Dataset.range(*self._places(count, epoch)))
        if not self.shuffle_buffer:
            return places
        key = tf.stack([tf.cast(self.seed, tf.int64), epoch])
        return places.map(
            lambda places: tf.random.experimental.index_shuffle(places, key, max_index=count - 1)
        )

    def elements(self, dataset, count, epoch):
        """Makes elements (row, *element) from a data set that is read sequentially.

        Rows are numbered in the data set's own order. Elements before the first one of this shard
        and pass are read and dropped.
        """
        first, limit, step = self._places(-1 if count is None else count, epoch)
        numbered = dataset.enumerate()
        if self.shuffle_buffer:
            # Otherwise the order would also depend on TensorFlow's global seed.
            graph = tf.compat.v1.get_default_graph()
            global_seed, graph.seed = graph.seed, 1
            # With the factor, neighbouring seeds do not share orders of different epochs.
            mixed = tf.cast(self.seed, tf.int64) * 1_000_003 + epoch
            numbered = numbered.shuffle(self.shuffle_buffer, mixed, reshuffle_each_iteration=False)
            graph.seed = global_seed  # restored because the user's functions may depend on it
        chosen = numbered.take(limit).skip(first).shard(step, 0)
        return chosen.map(lambda row, x: (row, *x) if isinstance(x, tuple) else (row, x))

    def batch(self, dataset):
        """Batches the elements of this shard."""
        return dataset.batch(self.batch_size, drop_remainder=self.drop_remainder)

    @property
    def _global_batch_size(self):
        return self.batch_size * self.num_shards

    def _places(self, count, epoch):
        """The range (first, end, step) of this shard's places in the order of an epoch."""
        skipped = self.initial_step * self._global_batch_size
        first = tf.cast(tf.where(epoch == self.initial_epoch, skipped, 0), tf.int64)
        # If the last global batch is dropped, every shard must drop its part.
        whole = count // self._global_batch_size * self._global_batch_size
        end = whole if self.drop_remainder and whole > 0 else count
        return first + self.shard_index, end, self.num_shards
