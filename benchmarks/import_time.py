"""Measures the time of `import keras_isd` and of `import keras`, in separate processes.

    python benchmarks/import_time.py

Medians of interleaved starts of Python, for each installed backend.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
import time

from absl import app, flags

BACKENDS = flags.DEFINE_list("backends", ["tensorflow", "jax", "torch"], "Backends to measure.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Starts of Python per module.")


def seconds(module, backend):
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        env={**os.environ, "KERAS_BACKEND": backend},
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def main(_):
    print(f"{'backend':<12}{'keras, s':>10}{'keras_isd, s':>14}{'ratio':>8}", flush=True)
    for backend in BACKENDS.value:
        if importlib.util.find_spec(backend) is None:
            continue
        modules = ("keras", "keras_isd")
        for module in modules:
            seconds(module, backend)  # reads the files into the disk cache
        times = [[seconds(module, backend) for module in modules] for _ in range(ROUNDS.value)]
        keras, own = (statistics.median(column) for column in zip(*times))
        print(f"{backend:<12}{keras:>10.2f}{own:>14.2f}{own / keras:>8.2f}", flush=True)


if __name__ == "__main__":
    app.run(main)
