"""The settings that tell a checkpoint's run from another with variables of the same shapes."""

import numbers


def run_settings(model, steps):
    """Single values that a run goes on with: of the model, of its optimizer, and of the data.

    Not among them are the learning rate, whose schedule a longer run changes, names, which Keras
    counts up, and parts, whose variables are looked at by themselves.

    Args:
        model: compiled `keras.Model`.
        steps: int, batches in an epoch, or None where not known.
    """
    try:
        config = model.get_config()
    except NotImplementedError:  # of a subclass that says nothing of itself
        config = {}
    optimizer = model.optimizer
    return {
        **_single_values(config, "model"),
        **_single_values(optimizer.get_config(), "optimizer"),
        "optimizer": type(optimizer).__name__,
        "steps of an epoch": steps,
    }


def _single_values(config, prefix):
    return {
        f"{prefix} {name}": value
        for name, value in config.items()
        if name not in ("name", "learning_rate")
        and (value is None or isinstance(value, (str, bool, numbers.Real)))
    }


def differing(before, now):
    """What two runs' settings differ in, in words; what one of them does not tell is left out."""
    return [
        f"{name}={now[name]!r}, not {before[name]!r}"
        for name in before
        if name in now and before[name] != now[name]
    ]
