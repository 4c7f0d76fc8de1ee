"""SGD as PyTorch has it, and the learning-rate schedules of the recipes."""

import keras
from keras import ops
from keras.optimizers import schedules

from keras_isd.recipes import get_recipe


@keras.saving.register_keras_serializable("keras_isd")
class SGD(keras.optimizers.SGD):
    """Stochastic gradient descent with coupled weight decay, as in PyTorch.

    The weight decay is added to the gradient, so that momentum accumulates it:
    `velocity = momentum * velocity + (gradient + weight_decay * weight)` and
    `weight -= learning_rate * velocity`.

    Keras' own `SGD` differs twice. Its weight decay is decoupled (it shrinks the
    weights beside the update, and with momentum 0.9 acts about a tenth as
    strongly), and its velocity holds the learning rates of past steps, so that the
    two part when the rate changes.

    Clipping and gradient accumulation come before the decay is added, as in
    PyTorch. `exclude_from_weight_decay` is respected.

    Args:
        learning_rate: float, or a schedule.
        momentum: float in `[0, 1]`.
        nesterov: bool.
        weight_decay: float or None, added to the gradient of every variable, biases
            and batch normalisation included, as in the authors' code.
        **kwargs: see `keras.optimizers.SGD`.

    Source: `torch.optim.SGD`.

    Example:

    >>> weight = keras.Variable([1.0])
    >>> keras_isd.optimizers.SGD(0.1, weight_decay=0.5).apply([keras.ops.ones(1)], [weight])
    >>> keras.ops.convert_to_numpy(weight)  # 1 - 0.1 * (1 + 0.5 * 1)
    array([0.85], dtype=float32)
    """

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        if self.weight_decay and self._use_weight_decay(variable):
            gradient = gradient + ops.cast(self.weight_decay, variable.dtype) * variable
        if self.momentum:
            momentum = ops.cast(self.momentum, variable.dtype)
            velocity = self.momentums[self._get_variable_index(variable)]
            self.assign(velocity, momentum * velocity + gradient)
            gradient = gradient + momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, learning_rate * gradient)

    def _apply_weight_decay(self, variables):
        pass  # Keras' decoupled decay; ours is in the gradient.


class _MadeOfSchedule(schedules.LearningRateSchedule):
    """A schedule made of another, `schedule`; its arguments are its attributes."""

    def get_config(self):
        return {**vars(self), "schedule": keras.saving.serialize_keras_object(self.schedule)}

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": schedule})


@keras.saving.register_keras_serializable("keras_isd")
class PerEpoch(_MadeOfSchedule):
    """Holds another schedule constant within each epoch, as PyTorch scripts do.

    The schedule is asked for its value at the number of the epoch, counted from 0.

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule` over epochs.
        steps_per_epoch: int >= 1, batches in an epoch. With gradient accumulation too: Keras
            counts batches for its schedules.

    Raises:
        ValueError: if `steps_per_epoch` is not positive.

    Example:

    >>> cosine = keras.optimizers.schedules.CosineDecay(0.05, decay_steps=200)
    >>> schedule = keras_isd.optimizers.PerEpoch(cosine, steps_per_epoch=10)
    >>> float(schedule(1000)) == float(schedule(1009))  # epoch 100, half way
    True
    """

    def __init__(self, schedule, steps_per_epoch):
        if steps_per_epoch < 1:
            raise ValueError(
                "Argument `steps_per_epoch` must be at least 1. "
                f"Received: steps_per_epoch={steps_per_epoch}"
            )
        self.schedule = schedule
        self.steps_per_epoch = int(steps_per_epoch)

    def __call__(self, step):
        return self.schedule(step // self.steps_per_epoch)


@keras.saving.register_keras_serializable("keras_isd")
class WarmUp(_MadeOfSchedule):
    """Raises the learning rate linearly, step by step, to that of another schedule.

    At step s, counted from 0, of `warmup_steps` the rate is `(s + 1) / warmup_steps` of the
    other schedule's; from then on it is the other schedule's.

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule` over steps.
        warmup_steps: int >= 1.

    Raises:
        ValueError: if `warmup_steps` is not positive.

    Example:

    >>> steps = keras_isd.optimizers.epoch_steps(0.4, (140, 180), steps_per_epoch=10)
    >>> schedule = keras_isd.optimizers.WarmUp(steps, warmup_steps=4)
    >>> [round(float(schedule(step)), 3) for step in (0, 1, 3, 4)]
    [0.1, 0.2, 0.4, 0.4]
    """

    def __init__(self, schedule, warmup_steps):
        if warmup_steps < 1:
            raise ValueError(
                f"Argument `warmup_steps` must be at least 1. Received: {warmup_steps=}"
            )
        self.schedule = schedule
        self.warmup_steps = int(warmup_steps)

    def __call__(self, step):
        share = (ops.cast(step, "float32") + 1) / self.warmup_steps
        return self.schedule(step) * ops.minimum(share, 1.0)


def epoch_cosine(learning_rate, epochs, steps_per_epoch):
    """Half a cosine from `learning_rate` to 0, constant within each epoch.

    Source: `adjust_learning_rate` in the authors' `util.py`, with `--cos`.

    Args:
        learning_rate: float, of the first epoch.
        epochs: int, length of the run.
        steps_per_epoch: int, batches in an epoch.

    Returns:
        A `PerEpoch` schedule.

    Example:

    >>> schedule = keras_isd.optimizers.epoch_cosine(0.05, epochs=200, steps_per_epoch=10)
    >>> round(float(schedule(100 * 10)), 4)
    0.025
    """
    return PerEpoch(schedules.CosineDecay(learning_rate, epochs), steps_per_epoch)


def epoch_steps(learning_rate, drop_epochs, steps_per_epoch, factor=0.2):
    """`learning_rate`, multiplied by `factor` from each epoch of `drop_epochs` on.

    Source: `adjust_learning_rate` in the authors' `util.py`; epochs count from 0
    here and from 1 there, so that 140 is the first of the lower rate in both cases.

    Args:
        learning_rate: float, of the first epoch.
        drop_epochs: increasing sequence of ints, such as `(140, 180)`.
        steps_per_epoch: int, batches in an epoch.
        factor: float.

    Returns:
        A `PerEpoch` schedule.

    Example:

    >>> schedule = keras_isd.optimizers.epoch_steps(0.01, (140, 180), steps_per_epoch=10)
    >>> [round(float(schedule(10 * epoch)), 6) for epoch in (139, 140, 180)]
    [0.01, 0.002, 0.0004]
    """
    values = [learning_rate * factor**drops for drops in range(len(drop_epochs) + 1)]
    # PiecewiseConstantDecay still gives the old value at a boundary itself.
    boundaries = [epoch - 1 for epoch in drop_epochs]
    return PerEpoch(schedules.PiecewiseConstantDecay(boundaries, values), steps_per_epoch)


def from_recipe(
    name,
    steps_per_epoch,
    epochs=None,
    learning_rate=None,
    per_step=False,
    warmup_epochs=0,
    **kwargs,
):
    """Builds the optimizer of a recipe, with its schedule.

    Args:
        name: name of a recipe, see `ISDModel.from_recipe`.
        steps_per_epoch: int, batches in an epoch.
        epochs: int, length of the run instead of the recipe's 200. The step
            schedule drops at 70 % and 90 % of it.
        learning_rate: float, instead of the recipe's.
        per_step: bool, whether a cosine moves at every step instead of every epoch.
        warmup_epochs: float, length of a linear warm-up, step by step; 0 for none, as the
            authors have it.
        **kwargs: arguments of `SGD`, instead of the recipe's.

    Returns:
        An `SGD`.

    Raises:
        ValueError: if there is no recipe of that name.

    Example:

    >>> optimizer = keras_isd.optimizers.from_recipe("resnet50", steps_per_epoch=5004)
    >>> round(float(optimizer.learning_rate), 4)
    0.05
    """
    recipe = get_recipe(name)
    epochs = epochs or recipe.epochs
    learning_rate = learning_rate or recipe.sgd["learning_rate"]
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
