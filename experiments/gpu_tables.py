"""Makes the tables of CIFAR-10 and CIFAR-100: every method, ResNet-18, 200 epochs, on one GPU.

    KERAS_BACKEND=jax python examples/gpu_tables.py --cifar10=cifar10.npz --cifar100=cifar100.npz
    KERAS_BACKEND=jax python examples/gpu_tables.py --cifar10=cifar10.npz --preset=smoke  # a trial

Each file holds `x_train`, `y_train`, `x_test` and `y_test`, as `--arrays` of `examples/cifar.py`,
which makes the runs, one after another, with views in the step. Distillation is among them for data
whose teacher's features are given. It takes JAX or PyTorch, and no TensorFlow.

A call works for `--minutes`, stops at a checkpoint, prints the table so far and says by its exit
status whether the same command has more to do: 0 if not, 75 if so, 1 if a run has failed, which the
next call tries again. On Linux it may be killed at any moment: what was done since the last epoch
is lost and no more. Of `--output` each run has a `.keras`, `.csv` and `.json`, and its checkpoints;
what is done is not done again. Beside the images a second of the epochs stand those of the bare
passes of the same networks, measured when a run is done (`benchmarks/bare_passes.py`).
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
from cifar_presets import PRESETS

MORE_TO_DO = getattr(os, "EX_TEMPFAIL", 75)  # Windows has no name for it
METHODS = ("isd", "moco", "byol", "msf", "distillation")
DATASETS = ("cifar10", "cifar100")
ROOT = pathlib.Path(__file__).resolve().parents[1]
# A further run is begun if so many minutes are left, for its start and an epoch, or this part of a
# call: else most of what it could do would be to start.
ENOUGH_MINUTES, ENOUGH_PART = 2, 0.25
PLACES = {"arrays", "teacher_features"}  # of which the facts of a run say what is there

ARRAYS = {name: flags.DEFINE_string(name, None, "File .npz of its images.") for name in DATASETS}
FEATURES = {
    name: flags.DEFINE_string(f"{name}_features", None, "File .npy of a teacher's features of it.")
    for name in DATASETS
}
METHOD_LIST = flags.DEFINE_list("methods", list(METHODS), "Which of them, in this order.")
SEEDS = flags.DEFINE_list("seeds", ["0"], "Runs of each, one a seed.")
PRESET = flags.DEFINE_enum("preset", "full", list(PRESETS), "Scale of the runs.")
EPOCHS = flags.DEFINE_integer("epochs", None, "Instead of the preset's.", 1)
POLICY = flags.DEFINE_string("policy", "mixed_bfloat16", "Precision of the runs.")
MINUTES = flags.DEFINE_float("minutes", 9, "How long a call works, about.", 0)
OUTPUT = flags.DEFINE_string("output", "runs/gpu_tables", "Folder of the runs.")


@flags.validator("methods", f"must be of {METHODS}")
def _are_known(methods):
    return bool(methods) and {*methods} <= {*METHODS}


@flags.validator("seeds", "must be integers")
def _are_integers(seeds):
    return bool(seeds) and all(seed.isdecimal() for seed in seeds)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run: the flags of `examples/cifar.py` that make it, and where it is kept."""

    name: str
    flags: dict

    def file(self, suffix):
        return pathlib.Path(OUTPUT.value, f"{self.name}{suffix}").resolve()

    def told(self):
        """What the run has told at its end, or None if it has not come there."""
        path = self.file(".json")
        if not path.is_file():
            return None
        run = json.loads(path.read_text())
        other = {n: v for n, v in self.flags.items() if str(run["flags"][n]) != v}
        if {*other} - PLACES:
            raise app.UsageError(f"--output has a run that is not of {other}. Received: {path}")
        return run

    def is_done(self):
        told = self.told()
        return told is not None and "bare_images_per_second" in told

    def command(self, minutes):
        """What is to be done next: to train, or of what is trained to measure the bare passes."""
        if self.told() is not None:
            return [ROOT / "benchmarks" / "bare_passes.py", f"--run={self.file('.json')}"]
        own = {"output": self.file(".keras"), "resume": self.file(""), "minutes": minutes}
        given = [f"--{name}={value}" for name, value in {**self.flags, **own}.items()]
        return [ROOT / "examples" / "cifar.py", *given]


def runs_of_flags():
    """All runs, data by data, method by method."""
    made = []
    for dataset in DATASETS:
        if ARRAYS[dataset].value is None:
            continue
        for method in METHOD_LIST.value:
            features = FEATURES[dataset].value
            if method == "distillation" and features is None:
                print(f"distillation is left out of {dataset}: no --{dataset}_features is given")
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
            "Of --cifar10 and --cifar100 one must be given, and for distillation its features. "
            f"Received: --methods={','.join(METHOD_LIST.value)}, "
            + ", ".join(f"--{name}={flag.value}" for name, flag in ARRAYS.items())
        )
    return made


def die_with_parent():
    """Has Linux end this process with the one that started it, however that ends.

    Else the next call would meet it, still writing the same checkpoints.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def status_of(command):
    """Runs a program, and gives its exit status."""
    # A step is compiled once and not in every call.
    compiled = {"JAX_COMPILATION_CACHE_DIR": str(pathlib.Path(OUTPUT.value, "compiled").resolve())}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**compiled, **os.environ},
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    ).wait()


def work(runs, deadline):
    """Goes on with the runs until the time is up, each whole before the next; those that failed."""
    enough, begun, failed = 60 * min(ENOUGH_MINUTES, ENOUGH_PART * MINUTES.value), False, []
    for run in runs:
        while not run.is_done():
            left = deadline - time.monotonic()
            if begun and left < enough:
                return failed
            begun = True
            print(f"\n{run.name}, {left / 60:.1f} minutes left", flush=True)
            status = status_of(run.command(f"{max(left, 0) / 60:.3f}"))
            if status == MORE_TO_DO:
                return failed
            if status:
                failed.append(run)
                break
    return failed


def main(_):
    deadline = time.monotonic() + 60 * MINUTES.value
    runs = runs_of_flags()
    pathlib.Path(OUTPUT.value).mkdir(parents=True, exist_ok=True)
    failed = work(runs, deadline)
    paths = [run.file(".json") for run in runs if run.told() is not None]
    if paths:
        print("\n" + cifar_table.markdown(cifar_table.read(paths), cifar_table.rates(paths)))
    done = sum(run.is_done() for run in runs)
    print(f"\n{done} of {len(runs)} runs are done")
    for run in failed:
        print(f"{run.name} has failed, as is said above; --methods can leave it out")
    return 1 if failed else (MORE_TO_DO if done < len(runs) else 0)


if __name__ == "__main__":
    app.run(main)
