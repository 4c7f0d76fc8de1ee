"""What a run of an example is made with: flags, versions, and what else the example knows of it."""

import json
import sys

import keras
import numpy as np
from absl import app, flags

import keras_isd

# What may be other where a run goes on: places, what is looked at, how it is computed, its length.
# What `set` gives to a model is among the settings.
FREE = {"output", "resume", "flagfile", "data_dir", "arrays", "image_folder", "set"}
FREE |= {"knn_every", "plot_views", "policy", "strategy", "epochs"}


def gather(**more):
    """Facts that make the run again, as JSON has them."""
    given = {flag.name: flag.value for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])}
    backend = keras.backend.backend()
    modules = (keras_isd, keras, sys.modules[backend], np)
    versions = {module.__name__: module.__version__ for module in modules}
    facts = {"flags": given, "backend": backend, "versions": versions, **more}
    return json.loads(json.dumps(facts))


def write_for_resume(path, facts, resume):
    """Writes the facts beside the checkpoints of a run, unless it goes on from another's.

    Weights of one seed or recipe fit a model of another; the results would be called by its name.
    """
    goes_on = resume.initial_epoch or resume.initial_step
    if goes_on and path.is_file():
        differing = _differing(json.loads(path.read_text()), facts)
        if differing:
            raise app.UsageError(
                f"--resume goes on with the run it is of. Received: {', '.join(differing)}, by "
                f"{path}; give another run a folder of its own"
            )
    path.write_text(json.dumps(facts, indent=1))


def _differing(before, now):
    """What two runs differ in, in words."""
    one, other = (
        {**facts["flags"], **facts.get("settings", {}), "data": facts.get("data")}
        for facts in (before, now)
    )
    return [
        f"{name}={other.get(name)!r}, not {one.get(name)!r}"
        for name in {**one, **other}
        if name not in FREE and one.get(name) != other.get(name)
    ]
