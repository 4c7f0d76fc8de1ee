"""What a run was made with, written beside it, so that it is not taken for another."""

import json
import numbers
import pathlib
import sys

import keras
import numpy as np

from keras_isd.files import write_text
from keras_isd.version import __version__


def run_facts(**facts):
    """The facts of a run: those given, the backend, and the versions that it runs on.

    Args:
        **facts: what the run is made with, such as `seed=0` or `settings={...}`: values, lists and
            dicts that JSON can hold.

    Returns:
        Dict of these and of `"backend"` and `"versions"`, as it would be read again from JSON.

    Example:

    >>> facts = keras_isd.callbacks.run_facts(seed=0, model={"queue_size": 4096})
    >>> sorted(facts), facts["versions"]["keras"] == keras.__version__
    (['backend', 'model', 'seed', 'versions'], True)
    """
    backend = keras.backend.backend()
    versions = {module.__name__: module.__version__ for module in (keras, sys.modules[backend], np)}
    versions["keras_isd"] = __version__
    return json.loads(json.dumps({**facts, "backend": backend, "versions": versions}))


def record_run(path, facts, resume=None, may_differ=()):
    """Writes the facts of a run, unless it would go on with the checkpoints of another.

    Weights of one seed or recipe fit a model of another; without this the results of a run that is
    resumed with other settings would be called by the new ones. Backend and versions may differ.

    Args:
        path: JSON file to write, beside the run's checkpoints.
        facts: dict, see `run_facts`.
        resume: the run's `keras_isd.callbacks.Resume`, or None if it goes on from nothing.
        may_differ: names of facts that may be other where a run goes on: places, what is looked at,
            its length. Of a fact that is a dict, `"flags"` say, also `"flags.output"`.

    Raises:
        ValueError: if the run goes on, and the file tells other facts.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.json")
    >>> keras_isd.callbacks.record_run(path, keras_isd.callbacks.run_facts(seed=0))
    >>> json.loads(path.read_text())["seed"]
    0
    """
    path = pathlib.Path(path)
    goes_on = resume is not None and (resume.initial_epoch or resume.initial_step)
    if goes_on and path.is_file():
        check_same_facts(path, facts, may_differ)
    write_text(path, json.dumps(facts, indent=1))


def check_same_facts(path, facts, ignore=()):
    """Raises a ValueError if the facts in a file differ from these; see `record_run`."""
    ignore = {"backend", "versions", *ignore}
    now = json.loads(json.dumps(facts))
    before, now = (_flat(f, ignore) for f in (json.loads(pathlib.Path(path).read_text()), now))
    if found := differences(before, now):
        raise ValueError(
            "A run can be resumed only with the settings that it was begun with; another run needs "
            f"a folder of its own. Received: {', '.join(found)}, according to {path}"
        )


def differences(before, now):
    """The values that differ between two runs, as text; a missing one is None."""
    return [
        f"{name}={now.get(name)!r}, not {before.get(name)!r}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]


def _flat(facts, free):
    """Facts with the items of each dict in its place, named by both keys."""
    flat: dict = {}
    for name, value in facts.items():
        inside = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}.{inner}": x for inner, x in inside} or {name: value}
        if name in free:
            free = {*free, *(f"{name}.{inner}" for inner, _ in inside)}
    return {name: value for name, value in flat.items() if name not in free}


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
