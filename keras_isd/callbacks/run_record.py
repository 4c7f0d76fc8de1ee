"""What a run was made with, written beside it, so that it is not taken for another."""

import json
import pathlib
import sys

import keras
import numpy as np

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
    >>> sorted(facts), sorted(facts["versions"])[:2]
    (['backend', 'model', 'seed', 'versions'], ['keras', 'keras_isd'])
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
        may_differ: names of facts, also of those within a fact that is a dict, that may be other
            where a run goes on: places, what is looked at, its length.

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
        free = {"backend", "versions", *may_differ}
        differing = _differing(json.loads(path.read_text()), facts, free)
        if differing:
            raise ValueError(
                "A run can go on only as it was begun; give another run a folder of its own. "
                f"Received: {', '.join(differing)}, by {path}"
            )
    path.write_text(json.dumps(facts, indent=1))


def _differing(before, now, free):
    """What two runs differ in, in words."""
    one, other = _flat(before, free), _flat(now, free)
    return [
        f"{name}={other.get(name)!r}, not {one.get(name)!r}"
        for name in {**one, **other}
        if name not in free and one.get(name) != other.get(name)
    ]


def _flat(facts, free):
    """Facts, with those in place of a dict that are in it."""
    flat: dict = {}
    for name, value in facts.items():
        if name not in free:
            flat |= value if isinstance(value, dict) else {name: value}
    return flat
