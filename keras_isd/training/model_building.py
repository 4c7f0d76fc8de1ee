"""The views, the batches and the compiled model that settings come to."""

import importlib.util

from keras_isd.augmentation import strong, weak
from keras_isd.backbones import ConvNet, ResNet18, ResNet50
from keras_isd.data import ImageBatches
from keras_isd.models import QueueModel
from keras_isd.optimizers import from_recipe
from keras_isd.recipes import get_recipe
from keras_isd.training.settings import SMALL


def views_of(settings, statistics):
    """The query's and the key's view: those of the recipe, without blur for small images."""
    blur = 0 if settings.size <= SMALL else 0.5
    made = {
        "strong": lambda: strong(settings.size, statistics, blur=blur),
        "weak": lambda: weak(settings.size, statistics),
    }
    names = [view.__name__ for view in get_recipe(settings.recipe).views]
    # BYOL's recipe has strong views of its own two kinds.
    return [made["weak" if name == "weak" else "strong"]() for name in names]


def views_are_made_in_the_step():
    """Whether images become views on the device: where there is no TensorFlow to make them."""
    return importlib.util.find_spec("tensorflow") is None


def make_batches(source, settings, statistics, seed, initial_epoch=0, initial_step=0):
    """Batches for `fit`: of two views, or without TensorFlow of images of one size."""
    place = {"seed": seed, "initial_epoch": initial_epoch, "initial_step": initial_step}
    if views_are_made_in_the_step():
        size = round(settings.size * 256 / 224)
        return ImageBatches(source, size, settings.batch_size, **place)
    from keras_isd.data import two_view_dataset

    query, key = views_of(settings, statistics)
    return two_view_dataset(source, query, key, settings.batch_size, **place)


def make_network(settings, channels):
    shape = (settings.size, settings.size, channels)
    if settings.network == "convnet":
        # One more stage for larger images, so that each stage sees as much of them.
        stages = 4 if settings.size < 64 else 5
        return ConvNet(shape, tuple(16 * 2**stage for stage in range(stages)))
    network = ResNet50 if settings.network == "resnet50" else ResNet18
    return network(shape, stem="small" if settings.size <= SMALL else "imagenet")


def make_model(settings, statistics, channels, steps_per_epoch, seed):
    """The compiled model."""
    recipe = get_recipe(settings.recipe)
    arguments = {"backbone": make_network(settings, channels)}
    if issubclass(recipe.method, QueueModel):
        arguments["queue_size"] = settings.queue_size
    if "shuffle_groups" in recipe.model:  # of MoCo, of which each wants several images
        groups = recipe.model["shuffle_groups"]
        arguments["shuffle_groups"] = groups if settings.batch_size % groups == 0 else 1
    if views_are_made_in_the_step():
        query, key = views_of(settings, statistics)
        arguments |= {"query_augmenter": query, "key_augmenter": key, "seed": seed}
    model = recipe.method.from_recipe(settings.recipe, **arguments)
    model.compile(
        from_recipe(
            settings.recipe,
            steps_per_epoch,
            settings.epochs,
            learning_rate=settings.learning_rate,
        )
    )
    return model
