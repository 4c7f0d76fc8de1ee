"""The optimizer of a recipe, with its schedule."""

from keras.optimizers import schedules

from keras_isd.optimizers.schedules import WarmUp, epoch_cosine, epoch_steps
from keras_isd.optimizers.sgd import SGD
from keras_isd.recipes import get_recipe


def from_recipe(
    name,
    steps_per_epoch,
    epochs=None,
    learning_rate=None,
    per_step=False,
    warmup_epochs=0,
    batch_size=None,
    **kwargs,
):
    """Builds the optimizer of a recipe, with its schedule.

    Args:
        name: name of a recipe, see `ISDModel.from_recipe`.
        steps_per_epoch: int, batches in an epoch.
        epochs: int, length of the run. The step schedule drops at 70 % and 90 % of it.
            Defaults to the recipe's 200.
        learning_rate: float. Defaults to the recipe's.
        per_step: bool, whether a cosine changes at every step instead of every epoch.
            Defaults to False.
        warmup_epochs: float, length of a linear warm-up, step by step; 0 for no warm-up, as in the
            authors' code. Defaults to 0.
        batch_size: int, images of a step on all devices together, times
            `gradient_accumulation_steps`: scales the recipe's learning rate linearly from the
            recipe's 256. Above 1,024 a warm-up is advisable. Defaults to None: no scaling.
        **kwargs: arguments of `SGD` that replace the recipe's.

    Returns:
        An `SGD`.

    Raises:
        ValueError: if the recipe is unknown, or both `learning_rate` and `batch_size` are given.

    Source: Goyal et al., "Accurate, large minibatch SGD", 2017, for scale and warm-up.

    Example:

    >>> optimizer = keras_isd.optimizers.from_recipe("resnet50", steps_per_epoch=5004)
    >>> round(float(optimizer.learning_rate), 4)
    0.05
    """
    recipe = get_recipe(name)
    epochs = recipe.epochs if epochs is None else epochs
    if batch_size is not None and (learning_rate is not None or batch_size < 1):
        raise ValueError(
            "Argument `batch_size` must be at least 1, and not be given with a `learning_rate`. "
            f"Received: {batch_size=}, {learning_rate=}"
        )
    scale = 1 if batch_size is None else batch_size / recipe.batch_size
    if learning_rate is None:
        learning_rate = scale * recipe.sgd["learning_rate"]
    if recipe.schedule == "cosine" and per_step:
        schedule = schedules.CosineDecay(learning_rate, epochs * steps_per_epoch)
    elif recipe.schedule == "cosine":
        schedule = epoch_cosine(learning_rate, epochs, steps_per_epoch)
    else:
        # 140 and 180 of 200
        drops = (round(0.7 * epochs), round(0.9 * epochs))
        schedule = epoch_steps(learning_rate, drops, steps_per_epoch)
    if warmup_epochs:
        schedule = WarmUp(schedule, round(warmup_epochs * steps_per_epoch))
    return SGD(**{**recipe.sgd, "learning_rate": schedule, **kwargs})
