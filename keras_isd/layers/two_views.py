"""The two views of plain images, made inside the training step."""

import keras

from keras_isd import backend
from keras_isd.augmentation import Augmenter
from keras_isd.augmentation.layer_chain import LayerChain, as_views
from keras_isd.validation.arguments import check_seed


@keras.saving.register_keras_serializable("keras_isd")
class TwoViews(keras.layers.Layer):
    """Makes the query and the key of plain images, inside the training step.

    While training every call draws new numbers; its seeds are saved with the model, so that a run
    that is resumed goes on with the views it would have had. Otherwise the numbers are always the
    same, so that `evaluate` changes nothing and gives one result.

    Args:
        query, key: `keras_isd.augmentation.Augmenter`s, or layers or lists of layers of Keras,
            whose draws are their own; of a key of None there is the query alone.
        seed: int or None.
        channels: int, of images, for layers that are not built yet.
        query_views: int, how many queries there are of an image; several as `(B, n, H, W, C)`.

    Raises:
        ValueError: if a view is made by anything else, or `seed` is out of range.
    """

    def __init__(self, query, key, seed=None, query_views=1, channels=3, **kwargs):
        super().__init__(**kwargs)
        augmenters = {"query": query, "key": key}
        if key is None:
            del augmenters["key"]
        augmenters = as_views(augmenters)
        for name, augmenter in augmenters.items():
            if not isinstance(augmenter, (Augmenter, LayerChain)):
                raise ValueError(
                    f"Argument `{name}_augmenter` must be a `keras_isd.augmentation.Augmenter`, "
                    "such as `keras_isd.augmentation.strong(32)`, or a layer or list of layers of "
                    f"Keras; other functions make views in the data. Received: {augmenter!r}"
                )
        check_seed("seed", seed)
        self.augmenters = augmenters
        chains = [chain for chain in augmenters.values() if isinstance(chain, LayerChain)]
        if chains:  # for Keras to find the layers' seeds
            self.view_layers = [layer for chain in chains for layer in chain.layers]
            for layer in self.view_layers:
                if not layer.built:
                    layer.build((None, None, None, channels))
        self.query_views = query_views
        # On PyTorch Keras' generator takes no larger one.
        self.seeds = keras.random.SeedGenerator(None if seed is None else seed % 2**31)
        self.built = True

    def call(self, images, training=False):
        # One draw for both, so that a step moves the seeds once.
        seed = self.seeds if training else 0
        views = [*self.augmenters] + ["query"] * (self.query_views - 1)
        draws = sum(self.augmenters[name].draws for name in views)
        # All replicas have the same seeds: each draws for the whole batch, and takes its rows.
        first, whole = backend.batch_offset(images)
        numbers = keras.random.uniform((whole, draws), seed=seed, dtype="float32")
        numbers = keras.ops.slice(numbers, (first, 0), (keras.ops.shape(images)[0], draws))
        made: dict[str, list] = {name: [] for name in views}
        used = 0
        for name in views:
            augmenter = self.augmenters[name]
            own = numbers[:, used : used + augmenter.draws]
            if isinstance(augmenter, LayerChain):
                made[name].append(augmenter(images, training=training))
            else:
                made[name].append(augmenter(images, own))
            used += augmenter.draws
        return {
            name: parts[0] if len(parts) == 1 else keras.ops.stack(parts, axis=1)
            for name, parts in made.items()
        }

    # Keras leaves the state of seed generators out of what it saves.

    def save_own_variables(self, store):
        store["seeds"] = keras.ops.convert_to_numpy(self.seeds.state)

    def load_own_variables(self, store):
        self.seeds.state.assign(store["seeds"])
