"""What Keras' own callbacks remember from epoch to epoch, for a run that is resumed."""

import keras
import numpy as np
from absl import logging

# The attributes that change while a run goes on, of each callback that has any. Others, as this
# package's own, name theirs as `remembered`.
REMEMBERED = {
    keras.callbacks.EarlyStopping: (
        "wait",
        "stopped_epoch",
        "best",
        "best_epoch",
        "best_weights",
    ),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter", "best"),
    keras.callbacks.ModelCheckpoint: ("best", "_batches_seen_since_last_saving"),
    keras.callbacks.TensorBoard: ("_global_train_batch",),
}
NOTHING_TO_REMEMBER = (
    keras.callbacks.BackupAndRestore,
    keras.callbacks.CSVLogger,
    keras.callbacks.History,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.SwapEMAWeights,
    keras.callbacks.TerminateOnNaN,
)


def take_down(callbacks):
    """What callbacks remember: arrays by name, and facts that JSON can hold, one for each."""
    arrays: dict = {}
    facts = []
    for number, callback in enumerate(callbacks):
        state = {}
        for name in _remembered(callback):
            value = getattr(callback, name, None)
            if isinstance(value, list):  # weights
                keys = [f"callback/{number:03d}/{name}/{i:05d}" for i in range(len(value))]
                arrays |= dict(zip(keys, map(np.array, value)))
                value = {"arrays": len(value)}
            state[name] = value if isinstance(value, (dict, type(None))) else float(value)
        facts.append({"class": type(callback).__name__, "state": state})
    return arrays, facts


def give_back(callbacks, arrays, facts):
    """Gives callbacks what those of the same class, in the same order, had remembered."""
    left = list(enumerate(facts))
    for callback in callbacks:
        same = [pair for pair in left if pair[1]["class"] == type(callback).__name__]
        if not same:
            continue
        number, fact = same[0]
        left.remove(same[0])
        for name, value in fact["state"].items():
            if isinstance(value, dict):
                keys = [f"callback/{number:03d}/{name}/{i:05d}" for i in range(value["arrays"])]
                value = [arrays[key] for key in keys]
            elif value is not None and float(value).is_integer() and name != "best":
                value = int(value)
            setattr(callback, name, value)


def warn_of_unknown(callbacks):
    """Says which callbacks may remember what is not known here, where a run goes on."""
    known = (*REMEMBERED, *NOTHING_TO_REMEMBER)
    unknown = [
        type(callback).__name__
        for callback in callbacks
        if not isinstance(callback, known)
        and not hasattr(callback, "remembered")
        and not type(callback).__module__.startswith("keras_isd")
    ]
    if unknown:
        logging.warning(
            "What these callbacks remember of the run, if anything, is not in its checkpoints, and "
            "begins anew: %s",
            ", ".join(unknown),
        )


def _remembered(callback):
    for kind, names in REMEMBERED.items():
        if isinstance(callback, kind):
            return names
    return getattr(callback, "remembered", ())
