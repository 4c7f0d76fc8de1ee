"""The flags of an example as facts of its run, and what of them may change where it goes on."""

import sys
import zlib

import numpy as np
from absl import app, flags

from keras_isd import callbacks

# Places, what is looked at, how it is computed, the length of the run.
FREE = ["output", "resume", "flagfile", "data_dir", "arrays", "image_folder", "policy", "strategy"]
FREE += ["teacher_features", "knn_every", "plot_views", "epochs", "minutes"]
# What comes to the settings of a run by these flags is told there.
FREE += ["set", "learning_rate", "views"]


def facts(**more):
    """Facts that make the run again."""
    given = {flag.name: flag.value for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])}
    return callbacks.run_facts(flags=given, **more)


def fingerprint(features):
    """A number that tells a teacher's features `(N, D)` from another's, of some of their rows."""
    rows = np.linspace(0, len(features) - 1, 100).astype(int)
    return zlib.crc32(np.ascontiguousarray(features[rows]), len(features))


def record(path, facts, resume):
    """Writes the facts beside the checkpoints of a run, unless it goes on from another's."""
    try:
        free = [f"flags.{name}" for name in FREE] + ["settings.epochs"]
        callbacks.record_run(path, facts, resume, may_differ=free)
    except ValueError as error:
        raise app.UsageError(f"--resume goes on with the run it is of. {error}") from None
