"""Schedules: learning rates by epoch, warm-up, and a rising teacher momentum."""

import keras
from keras import ops
from keras.optimizers import schedules

from keras_isd.validation.arguments import check_in_range


class WrappedSchedule(schedules.LearningRateSchedule):
    """Base of schedules around another one, `schedule`; attributes are the arguments."""

    def get_config(self):
        return {**vars(self), "schedule": keras.saving.serialize_keras_object(self.schedule)}

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": schedule})


@keras.saving.register_keras_serializable("keras_isd")
class PerEpoch(WrappedSchedule):
    """Holds another schedule constant within each epoch, as PyTorch scripts do.

    The other schedule is evaluated at the epoch's number, counted from 0.

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule` over epochs.
        steps_per_epoch: int >= 1, the number of batches in an epoch. It does not change with
            gradient accumulation, because Keras' schedules count batches.

    Raises:
        ValueError: if `steps_per_epoch` is not positive.

    Example:

    >>> cosine = keras.optimizers.schedules.CosineDecay(0.05, decay_steps=200)
    >>> schedule = keras_isd.optimizers.PerEpoch(cosine, steps_per_epoch=10)
    >>> float(schedule(1000)) == float(schedule(1009))  # both in epoch 100
    True
    """

    def __init__(self, schedule, steps_per_epoch):
        check_in_range("steps_per_epoch", steps_per_epoch, 1)
        self.schedule = schedule
        self.steps_per_epoch = int(steps_per_epoch)

    def __call__(self, step):
        return self.schedule(step // self.steps_per_epoch)


@keras.saving.register_keras_serializable("keras_isd")
class WarmUp(WrappedSchedule):
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
        check_in_range("warmup_steps", warmup_steps, 1)
        self.schedule = schedule
        self.warmup_steps = int(warmup_steps)

    def __call__(self, step):
        share = (ops.cast(step, "float32") + 1) / self.warmup_steps
        return self.schedule(step) * ops.minimum(share, 1.0)


def epoch_cosine(learning_rate, epochs, steps_per_epoch):
    """Makes half a cosine from `learning_rate` to 0, constant within each epoch.

    Source: `adjust_learning_rate` in the authors' `util.py`, with `--cos`.

    Args:
        learning_rate: float, initial learning rate.
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
    """Makes a learning rate that is multiplied by `factor` at each epoch of `drop_epochs`.

    Source: `adjust_learning_rate` in the authors' `util.py`; epochs count from 0
    here and from 1 there, so 140 is the first epoch at the lower rate in both.

    Args:
        learning_rate: float, initial learning rate.
        drop_epochs: increasing sequence of ints, such as `(140, 180)`; of none the rate stays.
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
    # PiecewiseConstantDecay keeps the old value at the boundary itself.
    boundaries = [epoch - 1 for epoch in drop_epochs]
    if not boundaries:  # which it does not accept
        boundaries, values = [0], [learning_rate] * 2
    return PerEpoch(schedules.PiecewiseConstantDecay(boundaries, values), steps_per_epoch)


@keras.saving.register_keras_serializable("keras_isd")
class OneMinus(WrappedSchedule):
    """One minus another schedule, such as a teacher momentum that rises to 1.

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule`.

    Example:

    >>> falling = keras.optimizers.schedules.CosineDecay(0.01, decay_steps=100)
    >>> round(float(keras_isd.optimizers.OneMinus(falling)(0)), 4)
    0.99
    """

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, step):
        return 1.0 - self.schedule(step)


def momentum_cosine(teacher_momentum, total_steps):
    """Makes a teacher momentum that rises from `teacher_momentum` to 1 by half a cosine.

    The teacher first follows closely, while the student improves fast, and at the end averages over
    more and more steps. The authors' momentum is constant.

    Args:
        teacher_momentum: float in `[0, 1]`, initial momentum.
        total_steps: int, number of updates until it is 1.

    Returns:
        A schedule for the `teacher_momentum` of a model.

    Source: Grill et al., "Bootstrap your own latent", 2020, section 3.3.

    Example:

    >>> schedule = keras_isd.optimizers.momentum_cosine(0.99, total_steps=1000)
    >>> [round(float(schedule(step)), 4) for step in (0, 500, 1000)]
    [0.99, 0.995, 1.0]
    """
    check_in_range("teacher_momentum", teacher_momentum, 0, 1)
    check_in_range("total_steps", total_steps, 1)
    return OneMinus(schedules.CosineDecay(1.0 - teacher_momentum, total_steps))


def fraction_or_schedule(name, value):
    """Returns the argument `name` if it is a float in [0, 1] or a schedule; else raises."""
    if isinstance(value, dict):  # from a saved model
        value = keras.saving.deserialize_keras_object(value)
    is_schedule = isinstance(value, schedules.LearningRateSchedule)
    if not is_schedule and not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise ValueError(
            f"Argument `{name}` must be in [0, 1], or a schedule. Received: {name}={value!r}"
        )
    return value
