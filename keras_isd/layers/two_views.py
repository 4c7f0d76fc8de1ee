"""The two views of plain images, made inside the training step."""

import keras

from keras_isd import backend


@keras.saving.register_keras_serializable("keras_isd")
class TwoViews(keras.layers.Layer):
    """Makes the query and the key of plain images, inside the training step.

    While training every call draws new numbers; its seeds are saved with the model, so that a run
    that is resumed goes on with the views it would have had. Otherwise the numbers are always the
    same, so that `evaluate` changes nothing and gives one result.

    Args:
        query, key: `keras_isd.augmentation.Augmenter`s.
        seed: int or None.
    """

    def __init__(self, query, key, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.augmenters = {"query": query, "key": key}
        self.seeds = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, images, training=False):
        # One draw for both, so that a step moves the seeds once.
        seed = self.seeds if training else 0
        draws = [augmenter.draws for augmenter in self.augmenters.values()]
        # All replicas have the same seeds: each draws for the whole batch, and takes its rows.
        first, whole = backend.batch_offset(images)
        numbers = keras.random.uniform((whole, sum(draws)), seed=seed, dtype="float32")
        own = (keras.ops.shape(images)[0], sum(draws))
        numbers = keras.ops.slice(numbers, (first, 0), own)
        query, key = self.augmenters["query"], self.augmenters["key"]
        return {
            "query": query(images, numbers[:, : query.draws]),
            "key": key(images, numbers[:, query.draws :]),
        }

    # Keras leaves the state of seed generators out of what it saves.

    def save_own_variables(self, store):
        store["seeds"] = keras.ops.convert_to_numpy(self.seeds.state)

    def load_own_variables(self, store):
        self.seeds.state.assign(store["seeds"])
