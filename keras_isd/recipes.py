"""Recipes: named sets of the choices that define a run.

The recipes of ISD, ReSSL and distillation are registered in `keras_isd/models/recipes.py`, those of
MoCo, BYOL and MSF in `keras_isd/baselines/recipes.py`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["RECIPES", "Recipe", "build_parts", "get_recipe", "register_recipe"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The choices that define a run.

    Attributes:
        method: class of the model, such as `keras_isd.ISDModel`.
        backbone: function from an input shape to a backbone.
        input_shape: `(height, width, channels)` of a view.
        heads: function from the backbone's width F to `projector` and `predictor`.
        model: arguments of the model.
        sgd: arguments of `keras_isd.optimizers.SGD`, with the initial learning rate.
        schedule: `"cosine"` or `"step"`, see `keras_isd.optimizers.from_recipe`.
        views: pair of functions from a size in pixels to the query's and the key's `Augmenter`,
            such as `keras_isd.augmentation.strong`.
        epochs, batch_size: ints. Default to 200 and 256.

    Example:

    >>> recipe = keras_isd.recipes.get_recipe("resnet50")
    >>> query, key = (view(224) for view in recipe.views)
    >>> query.draws > key.draws  # a strong view and a weak one
    True
    """

    method: type
    backbone: Callable[[tuple], Any]
    input_shape: tuple[int, int, int]
    heads: Callable[[int], dict]
    model: Mapping[str, Any]
    sgd: Mapping[str, float]
    schedule: str
    views: tuple[Callable, Callable]
    epochs: int = 200
    batch_size: int = 256


RECIPES: dict[str, Recipe] = {}


def register_recipe(name, recipe):
    """Registers a recipe under a name, for `from_recipe` of its method and of `optimizers`.

    Args:
        name: str, a new name.
        recipe: a `Recipe`.

    Raises:
        ValueError: if a recipe has that name already.

    Example:

    >>> import dataclasses
    >>> recipe = dataclasses.replace(keras_isd.recipes.get_recipe("resnet50"), epochs=800)
    >>> keras_isd.recipes.register_recipe("resnet50_long", recipe)
    >>> keras_isd.recipes.RECIPES.pop("resnet50_long").epochs
    800
    """
    if name in RECIPES:
        raise ValueError(f"Argument `name` must be new. Received: {name=}, which exists")
    RECIPES[name] = recipe


def get_recipe(name):
    """Returns the `Recipe` with a name.

    Raises:
        ValueError: if the name is unknown; the message lists all names.

    Example:

    >>> keras_isd.recipes.get_recipe("resnet50").batch_size
    256
    """
    if name not in RECIPES:
        raise ValueError(
            f"Argument `name` must be one of the recipes {sorted(RECIPES)}. Received: name={name!r}"
        )
    return RECIPES[name]


def build_parts(recipe, input_shape=None, backbone=None):
    """Builds the backbone and heads of a recipe, as arguments of a model.

    Args:
        recipe: a `Recipe`.
        input_shape: `(height, width, channels)`. Defaults to the recipe's.
        backbone: built `keras.Model`. Defaults to the recipe's.

    Returns:
        Dict of `backbone` and, if the recipe has them, `projector` and `predictor`.

    Raises:
        ValueError: if both `input_shape` and `backbone` are given.
    """
    if backbone is None:
        backbone = recipe.backbone(input_shape or recipe.input_shape)
    elif input_shape is not None:
        raise ValueError(
            "Arguments `input_shape` and `backbone` must not be given together. "
            f"Received: input_shape={input_shape}, backbone={backbone}"
        )
    return {"backbone": backbone, **recipe.heads(backbone.output_shape[-1])}
