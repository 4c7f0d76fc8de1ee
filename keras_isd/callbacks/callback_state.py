"""The state of Keras' callbacks, saved and restored for resumed runs."""

import keras
import numpy as np
from absl import logging

# The attributes of each callback that change during a run. Other callbacks, such as this package's,
# list theirs in `remembered`.
STATE_ATTRIBUTES = {
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
STATELESS = (
    keras.callbacks.BackupAndRestore,
    keras.callbacks.CSVLogger,
    keras.callbacks.History,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.SwapEMAWeights,
    keras.callbacks.TerminateOnNaN,
)


def save_state(callbacks):
    """Returns the state of callbacks: a dict of arrays, and a JSON-compatible dict for each."""
    arrays: dict = {}
    facts = []
    for number, callback in enumerate(callbacks):
        state = {}
        for name in _state_attributes(callback):
            value = getattr(callback, name, None)
            if isinstance(value, list):  # weights
                keys = [f"callback/{number:03d}/{name}/{i:05d}" for i in range(len(value))]
                arrays |= dict(zip(keys, map(np.array, value)))
                value = {"arrays": len(value)}
            state[name] = value if isinstance(value, (dict, type(None))) else float(value)
        facts.append({"class": type(callback).__name__, "state": state})
    return arrays, facts


def restore_state(callbacks, arrays, facts):
    """Restores the state of callbacks, matched by class and order."""
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


def warn_of_unknown_state(callbacks):
    """Warns of callbacks in a resumed run whose state may not be in its checkpoints."""
    known = (*STATE_ATTRIBUTES, *STATELESS)
    unknown = [
        type(callback).__name__
        for callback in callbacks
        if not isinstance(callback, known)
        and not hasattr(callback, "remembered")
        and not type(callback).__module__.startswith("keras_isd")
    ]
    if unknown:
        logging.warning(
            "The state of these callbacks, if any, is not in the checkpoints and starts anew: %s",
            ", ".join(unknown),
        )


def _state_attributes(callback):
    for kind, names in STATE_ATTRIBUTES.items():
        if isinstance(callback, kind):
            return names
    return getattr(callback, "remembered", ())
