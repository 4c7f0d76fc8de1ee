"""Makes the tables of CIFAR-10 and CIFAR-100: every method, ResNet-18, 200 epochs, on one GPU.

    KERAS_BACKEND=jax python experiments/gpu_tables.py --cifar10=FILE.npz --cifar100=FILE.npz
    KERAS_BACKEND=jax python experiments/gpu_tables.py --cifar10=FILE.npz --preset=smoke  # a trial

Each file holds `x_train`, `y_train`, `x_test` and `y_test`, as for `--arrays` of
`experiments/cifar.py`, which makes the runs, one after another, with views in the step.
Distillation is included for data whose teacher's features are given. The program runs on JAX or
PyTorch, without TensorFlow.

A call works for `--minutes`, stops at a checkpoint, prints the table so far, and exits with status
0 if all runs are done, 75 if the same command has more to do, and 1 if a run has failed, which the
next call tries again. On Linux it may be killed at any moment: only the work since the last epoch
is lost. In `--output` each run has a `.keras`, `.csv` and `.json` file and its checkpoints;
finished runs are not repeated. The table has the images a second of the epochs, and those of the
bare passes of the same networks, measured when a run is done (`benchmarks/bare_passes.py`).
"""

import ctypes
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import cifar_table
from absl import app, flags
from configurations import PRESETS

MORE_TO_DO = getattr(os, "EX_TEMPFAIL", 75)  # Windows does not define it
METHODS = ("isd", "moco", "byol", "msf", "distillation")
ROOT = pathlib.Path(__file__).resolve().parents[1]
# A further run starts only if this many minutes, or this part of a call, are left: with less time
# it would hardly do more than start.
MIN_MINUTES_LEFT, MIN_PART_LEFT = 2, 0.25
PATHS = {"arrays", "teacher_features"}  # a run's facts have fingerprints of their contents

ARRAYS = {
    "cifar10": flags.DEFINE_string("cifar10", None, "File .npz of the images of CIFAR-10."),
    "cifar100": flags.DEFINE_string("cifar100", None, "File .npz of the images of CIFAR-100."),
}
FEATURES = {
    "cifar10": flags.DEFINE_string("cifar10_features", None, "A teacher's features, file .npy."),
    "cifar100": flags.DEFINE_string("cifar100_features", None, "A teacher's features, file .npy."),
}
METHOD_LIST = flags.DEFINE_list("methods", list(METHODS), "Methods to run, in this order.")
SEEDS = flags.DEFINE_list("seeds", ["0"], "One run of each method per seed.")
PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "Scale of the runs.")
EPOCHS = flags.DEFINE_integer("epochs", None, "Instead of the preset's.", 1)
POLICY = flags.DEFINE_string("policy", "mixed_bfloat16", "Precision of the runs.")
MINUTES = flags.DEFINE_float("minutes", 9, "About how long a call works.", 0)
OUTPUT = flags.DEFINE_string("output", "runs/gpu_tables", "Folder of the runs.")


@flags.validator("methods", f"must be among {METHODS}")
def _are_known(methods):
    return bool(methods) and {*methods} <= {*METHODS}


@flags.validator("seeds", "must be integers")
def _are_integers(seeds):
    return bool(seeds) and all(seed.isdecimal() for seed in seeds)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run: its name, and its flags for `experiments/cifar.py`."""

    name: str
    flags: dict

    def file(self, suffix):
        return pathlib.Path(OUTPUT.value, f"{self.name}{suffix}").resolve()

    def results(self):
        """The results that the run wrote at its end, or None if it has not ended."""
        path = self.file(".json")
        if not path.is_file():
            return None
        run = json.loads(path.read_text())
        differing = {n: v for n, v in self.flags.items() if str(run["flags"][n]) != v}
        if {*differing} - PATHS:
            raise app.UsageError(f"--output has a run without {differing}. Received: {path}")
        return run

    def is_done(self):
        results = self.results()
        return results is not None and "bare_images_per_second" in results

    def command(self, minutes):
        """The next command: to train, or to measure the bare passes of the trained model."""
        if self.results() is not None:
            return [ROOT / "benchmarks" / "bare_passes.py", f"--run={self.file('.json')}"]
        own = {"output": self.file(".keras"), "resume": self.file(""), "minutes": minutes}
        given = [f"--{name}={value}" for name, value in {**self.flags, **own}.items()]
        return [ROOT / "experiments" / "cifar.py", *given]


def runs_from_flags():
    """All runs, in the order of data set, method and seed."""
    made = []
    for dataset in ARRAYS:
        if ARRAYS[dataset].value is None:
            continue
        for method in METHOD_LIST.value:
            features = FEATURES[dataset].value
            if method == "distillation" and features is None:
                print(f"{dataset}: no distillation, since --{dataset}_features is not given")
                continue
            for seed in SEEDS.value:
                given = {"dataset": dataset, "method": method, "seed": str(int(seed))}
                given |= {"preset": PRESET.value, "policy": POLICY.value, "views_on": "device"}
                given["arrays"] = str(pathlib.Path(ARRAYS[dataset].value).resolve())
                if EPOCHS.value:
                    given["epochs"] = str(EPOCHS.value)
                if method == "distillation":
                    given["teacher_features"] = str(pathlib.Path(features).resolve())
                scale = f"_{EPOCHS.value}epochs" if EPOCHS.value else ""
                made.append(Run(f"{dataset}_{method}{scale}_seed{int(seed)}", given))
    if not made:
        raise app.UsageError(
            "--cifar10 or --cifar100 must be given, and for distillation its teacher's features. "
            f"Received: --methods={','.join(METHOD_LIST.value)}, "
            + ", ".join(f"--{name}={flag.value}" for name, flag in ARRAYS.items())
        )
    return made


def die_with_parent():
    """Makes Linux kill this process when its parent ends, however that ends.

    Otherwise it would still write checkpoints when the next call starts.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def run_command(command):
    """Runs a program and returns its exit status."""
    # The cache makes each step compile once, not in every call.
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(pathlib.Path(OUTPUT.value, "compiled").resolve())}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**compiled, **os.environ},
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    ).wait()


def work(runs, deadline):
    """Works on one run after another until the deadline; returns the runs that failed."""
    enough, is_started, failed = (
        60 * min(MIN_MINUTES_LEFT, MIN_PART_LEFT * MINUTES.value),
        False,
        [],
    )
    for run in runs:
        while not run.is_done():
            left = deadline - time.monotonic()
            if is_started and left < enough:
                return failed
            is_started = True
            print(f"\n{run.name}, {left / 60:.1f} minutes left", flush=True)
            status = run_command(run.command(f"{max(left, 0) / 60:.3f}"))
            if status == MORE_TO_DO:
                return failed
            if status:
                failed.append(run)
                break
    return failed


def main(_):
    deadline = time.monotonic() + 60 * MINUTES.value
    runs = runs_from_flags()
    pathlib.Path(OUTPUT.value).mkdir(parents=True, exist_ok=True)
    failed = work(runs, deadline)
    paths = [run.file(".json") for run in runs if run.results() is not None]
    if paths:
        table = cifar_table.format_table(cifar_table.read(paths), cifar_table.read_rates(paths))
        print(f"\n{table}")
    done = sum(run.is_done() for run in runs)
    print(f"\n{done} of {len(runs)} runs are done")
    for run in failed:
        print(f"{run.name} has failed, see above; --methods can leave it out")
    return 1 if failed else (MORE_TO_DO if done < len(runs) else 0)


if __name__ == "__main__":
    app.run(main)
