"""How long a run will take, told by some of its steps, and what of it fits into a time limit."""

import dataclasses
import itertools
import time

import keras
import numpy as np

from keras_isd.training.model_building import make_batches, make_model

WARM = 3  # steps in which it is compiled
TIMED = 12
# Of an epoch beside its steps: checkpoints and measures, as a share.
BESIDE = 0.1


def measure_steps(source, settings, statistics, seconds, seed, teacher_features, tell):
    """The settings with as many epochs as fit into some seconds, which may be infinite.

    Some steps are timed, and what a run will take is told.

    What these steps have learned is thrown away.
    """
    keras.utils.set_random_seed(seed)
    batches = make_batches(source, settings, statistics, seed, teacher_features)
    model = make_model(settings, statistics, source.channels, len(batches), seed, teacher_features)
    # What is made once is made once more when the run begins.
    once, taken = _timed(model, batches)
    a_step = taken / TIMED
    epoch = a_step * len(batches) * (1 + BESIDE)
    left = seconds - 2 * once - taken
    fits = int(min(left / epoch, settings.epochs))
    rate = settings.batch_size / a_step
    epochs = f"{settings.epochs} epoch{'s' * (settings.epochs > 1)}"
    tell(
        f"Measured: {rate:,.0f} images a second, {_told(epoch)} an epoch, "
        f"{_told(epoch * settings.epochs)} for {epochs}, {_memory()}."
    )
    if fits < 1:
        raise ValueError(
            f"Argument `minutes` must be enough for an epoch, which takes {_told(epoch)}. "
            f"Received: minutes={seconds / 60:.2g} that are left"
        )
    if fits == settings.epochs:
        return settings
    tell(f"{fits} epochs fit into the {_told(seconds)} that are left.")
    reasons = {**settings.reasons, "epochs": "what fits into the time"}
    return dataclasses.replace(settings, epochs=fits, reasons=reasons)


def _timed(model, batches):
    """Seconds of the first steps, with all that is made once, and of those that are timed."""
    steps = itertools.chain.from_iterable(itertools.repeat(batches))

    def take(count):
        start = time.perf_counter()
        for batch in itertools.islice(steps, count):
            # `fit` takes the tensors of tf.data on every backend, a single step does not.
            batch = keras.tree.map_structure(np.asarray, batch)
            views, labels, _ = keras.utils.unpack_x_y_sample_weight(batch)
            model.train_on_batch(views, labels)
        return time.perf_counter() - start

    return take(WARM), take(TIMED)


def _memory():
    """What this process has held at most, in words."""
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return "memory not known"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB of memory"


def _told(seconds):
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"
