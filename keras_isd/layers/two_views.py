"""Views of plain images, made inside the training step."""

import keras

from keras_isd import backend
from keras_isd.augmentation import Augmenter
from keras_isd.augmentation.layer_chain import LayerChain, as_views
from keras_isd.validation.arguments import check_seed

ARGUMENTS = {
    "query": "query_augmenter",
    "key": "key_augmenter",
    "small": "small_query_augmenter",
}


@keras.saving.register_keras_serializable("keras_isd")
class TwoViews(keras.layers.Layer):
    """Makes the query and the key from plain images, inside the training step.

    In training every call draws new random numbers; the seeds are saved with the model, so a
    resumed run continues with the same views. Otherwise the numbers are always the same, so
    `evaluate` changes nothing and is deterministic.

    Args:
        query, key: `keras_isd.augmentation.Augmenter`s, or Keras layers or lists of them, which
            draw their own random numbers. A key of None makes the query alone.
        seed: int or None. Defaults to None.
        query_views: int, number of queries of an image; several are `(B, n, H, W, C)`. Defaults
            to 1.
        channels: int, channels of the images, for layers that are not built yet. Defaults to 3.
        small: the same for small views, further queries, or None. Defaults to None.
        small_views: int, number of small views of an image, as `query_views`. Defaults to 0.
        key_views: int, number of keys of an image, as `query_views`. Defaults to 1.

    Raises:
        ValueError: if a view is of another type, or `seed` is out of range.
    """

    def __init__(
        self,
        query,
        key,
        seed=None,
        query_views=1,
        channels=3,
        small=None,
        small_views=0,
        key_views=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        given = {"query": query, "key": key, "small": small}
        augmenters = as_views({name: view for name, view in given.items() if view is not None})
        for name, augmenter in augmenters.items():
            if not isinstance(augmenter, (Augmenter, LayerChain)):
                raise ValueError(
                    f"Argument `{ARGUMENTS[name]}` must be a `keras_isd.augmentation.Augmenter`, "
                    "such as `keras_isd.augmentation.strong(32)`, or a Keras layer or a list of "
                    "them; other functions can make views in the data pipeline. "
                    f"Received: {augmenter!r}"
                )
        check_seed("seed", seed)
        self.augmenters = augmenters
        chains = [chain for chain in augmenters.values() if isinstance(chain, LayerChain)]
        if chains:  # as an attribute, so that Keras finds the layers' seeds
            self.view_layers = [layer for chain in chains for layer in chain.layers]
            for layer in self.view_layers:
                if not layer.built:
                    layer.build((None, None, None, channels))
        counts = {"query": query_views, "key": key_views, "small": small_views}
        # Further views come last, so that the numbers of the others stay the same.
        self.drawn = [*augmenters]
        for name in augmenters:
            self.drawn += [name] * (counts[name] - 1)
        # Keras' generator takes no larger seed on PyTorch.
        self.seeds = keras.random.SeedGenerator(None if seed is None else seed % 2**31)
        self.built = True

    def call(self, images, training=False):
        # One draw for all views, so that a step advances the seeds once.
        seed = self.seeds if training else 0
        draws = sum(self.augmenters[name].draws for name in self.drawn)
        # All replicas have the same seeds: each draws for the whole batch and uses its own rows.
        first, whole = backend.batch_offset(images)
        numbers = keras.random.uniform((whole, draws), seed=seed, dtype="float32")
        numbers = keras.ops.slice(numbers, (first, 0), (keras.ops.shape(images)[0], draws))
        made: dict[str, list] = {name: [] for name in self.drawn}
        used = 0
        for name in self.drawn:
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

    # Keras does not save the state of seed generators.

    def save_own_variables(self, store):
        store["seeds"] = keras.ops.convert_to_numpy(self.seeds.state)

    def load_own_variables(self, store):
        self.seeds.state.assign(store["seeds"])
