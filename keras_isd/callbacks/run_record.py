"""What a run was made with, written beside it, so that it is not taken for another."""

import json
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
        check_same_run(path, facts, may_differ)
    write_text(path, json.dumps(facts, indent=1))


def check_same_run(path, facts, may_differ=()):
    """Raises a ValueError if a file tells other facts of a run than these; see `record_run`."""
    free = {"backend", "versions", *may_differ}
    now = json.loads(json.dumps(facts))
    if differing := _differing(json.loads(pathlib.Path(path).read_text()), now, free):
        raise ValueError(
            "A run can go on only as it was begun; give another run a folder of its own. "
            f"Received: {', '.join(differing)}, by {path}"
        )


def _differing(before, now, free):
    """What two runs differ in, in words."""
    one, other = _flat(before, free), _flat(now, free)
    return [
        f"{name}={other.get(name)!r}, not {one.get(name)!r}"
        for name in {**one, **other}
        if one.get(name) != other.get(name)
    ]


def _flat(facts, free):
    """Facts, with those in place of a dict that are in it, by both names."""
    flat: dict = {}
    for name, value in facts.items():
        inside = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}.{inner}": x for inner, x in inside} or {name: value}
        if name in free:
            free = {*free, *(f"{name}.{inner}" for inner, _ in inside)}
    return {name: value for name, value in flat.items() if name not in free}
