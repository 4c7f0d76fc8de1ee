"""The record of a run's settings, which guards its folder against other runs."""

import json
import numbers
import pathlib
import sys

import keras
import numpy as np

from keras_isd.files import write_text
from keras_isd.version import __version__


def run_facts(**facts):
    """Collects the facts of a run: those given, the backend, and versions.

    Args:
        **facts: settings of the run, such as `seed=0` or `settings={...}`: JSON-compatible values,
            lists and dicts.

    Returns:
        Dict of these and of `"backend"` and `"versions"`, as JSON would return it.

    Example:

    >>> facts = keras_isd.callbacks.run_facts(seed=0, model={"queue_size": 4096})
    >>> sorted(facts), facts["versions"]["keras"] == keras.__version__
    (['backend', 'model', 'seed', 'versions'], True)
    """
    backend = keras.backend.backend()
    versions = {module.__name__: module.__version__ for module in (keras, sys.modules[backend], np)}
    versions["keras_isd"] = __version__
    return json.loads(json.dumps({**facts, "backend": backend, "versions": versions}))


def record_run(path, facts, resume=None, ignore=()):
    """Writes the facts of a run, unless it would resume the checkpoints of another.

    Weights of one seed or recipe fit a model of another; without this check the results of a run
    that is resumed with other settings would be attributed to the new ones. Backend and versions
    may differ.

    Args:
        path: JSON file to write, next to the run's checkpoints.
        facts: dict, see `run_facts`.
        resume: the run's `keras_isd.callbacks.Resume`. Defaults to None: the run is new.
        ignore: names of facts that may differ in a resumed run, such as paths or its length; an
            item of a dict is named as in `"flags.output"`. Defaults to ().

    Raises:
        ValueError: if the run is resumed and the file has other facts.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.json")
    >>> keras_isd.callbacks.record_run(path, keras_isd.callbacks.run_facts(seed=0))
    >>> json.loads(path.read_text())["seed"]
    0
    """
    path = pathlib.Path(path)
    is_resumed = resume is not None and (resume.initial_epoch or resume.initial_step)
    if is_resumed and path.is_file():
        check_same_facts(path, facts, ignore)
    write_text(path, json.dumps(facts, indent=1))


def check_same_facts(path, facts, ignore=()):
    """Raises a ValueError if the facts in a file differ from these; see `record_run`."""
    ignore = {"backend", "versions", *ignore}
    now = json.loads(json.dumps(facts))
    before, now = (flatten(f, ignore) for f in (json.loads(pathlib.Path(path).read_text()), now))
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


def flatten(facts, ignore=()):
    """Facts with the items of each dict in its place, named by both keys."""
    flat: dict = {}
    for name, value in facts.items():
        inside = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}.{inner}": x for inner, x in inside} or {name: value}
        if name in ignore:
            ignore = {*ignore, *(f"{name}.{inner}" for inner, _ in inside)}
    return {name: value for name, value in flat.items() if name not in ignore}


def run_settings(model, steps):
    """Collects the scalar settings of the model, its optimizer and the data.

    They distinguish runs whose variables have the same shapes. Left out are the learning rate,
    whose schedule changes in a longer run, names, which Keras numbers, and sub-models, whose
    variables are compared separately.

    Args:
        model: compiled `keras.Model`.
        steps: int, batches in an epoch, or None if not known.
    """
    try:
        config = model.get_config()
    except NotImplementedError:  # a subclass without a configuration
        config = {}
    optimizer = model.optimizer
    return {
        **_scalars(config, "model"),
        **_scalars(optimizer.get_config(), "optimizer"),
        "optimizer": type(optimizer).__name__,
        "steps of an epoch": steps,
    }


def _scalars(config, prefix):
    return {
        f"{prefix} {name}": value
        for name, value in config.items()
        if name not in ("name", "learning_rate")
        and (value is None or isinstance(value, (str, bool, numbers.Real)))
    }
