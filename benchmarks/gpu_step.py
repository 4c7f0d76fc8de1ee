"""Measures a training step on a GPU: images a second, memory, and the share of the card's peak.

    KERAS_BACKEND=jax python benchmarks/gpu_step.py --reference=../ISD

A trial on a CPU:

    KERAS_BACKEND=torch python benchmarks/gpu_step.py --settings=cifar --rounds=1 --steps=1 \
        --batch_size=4 --queue_size=64

Each case is a process of its own. They take turns, and the table, in Markdown, has the median of
the rounds; a round is the mean of some steps that do not wait for one another. On JAX or PyTorch:

- `step`: a whole step of `fit` on two given views, on the device.
- `views`: the same, with the two views made from uint8 images in the step.
- `bare`: the bare passes of its networks, see `bare_passes.py`.
- `authors`: the step of the authors' PyTorch code, from a checkout of it; it reads its loss each
  time.
- `lightly`: MoCo's step by lightly's parts, if lightly and torchvision can be imported.

The last two run in PyTorch under any backend, in bfloat16 by autocast. The card must hold all cases
at once: otherwise give fewer `--cases`, or a smaller batch. The share of the peak counts only the
FLOPs of our networks (`step_flops`); those of lightly's heads differ by less than a hundredth. The
peak is the card's for bfloat16 under both policies.
"""

import dataclasses
import math
import os

from absl import app, flags
from bare_passes import bare_passes
from measured_process import MeasuredProcess, serve, take_turns
from other_steps import lightly_import_error, make_authors_step, make_lightly_step
from step_setting import Setting, fit_seconds, make_model, make_views, to_device

TITLES = {
    "step": "step",
    "views": "step, views in it",
    "bare": "bare passes",
    "authors": "authors' step, PyTorch",
    "lightly": "lightly's MoCo, PyTorch",
}
ALL_SETTINGS = {
    "resnet18": Setting("resnet18", "train_isd_r18", 256, 131_072, 224),
    "resnet50": Setting("resnet50", "train_isd_plus", 128, 131_072, 224, network="resnet50"),
    "cifar": Setting("cifar_resnet18", "train_isd_plus", 256, 8_192, 32),
}

# Dense bfloat16 with float32 sums, in TFLOP/s, by NVIDIA's data sheets; the first match counts.
PEAKS = {
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "GH200": 989,
    "H200": 989,
    "A100": 312,
}

SETTINGS = flags.DEFINE_list("settings", list(ALL_SETTINGS), "Settings to measure.")
CASES = flags.DEFINE_list("cases", list(TITLES), "Cases to measure.")
REFERENCE = flags.DEFINE_string("reference", None, "Checkout of the authors' repository.")
POLICY = flags.DEFINE_enum("policy", "mixed_bfloat16", ["mixed_bfloat16", "float32"], "Precision.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each case.", 1)
STEPS = flags.DEFINE_integer("steps", 20, "Steps a turn.", 1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Instead of the setting's.", 2)
IMAGE_SIZE = flags.DEFINE_integer("image_size", None, "Pixels, instead of the setting's.", 8)
QUEUE_SIZE = flags.DEFINE_integer("queue_size", None, "Instead of the setting's.", 1)
PEAK = flags.DEFINE_float("peak_tflops", None, "The card's, if its name is unknown.", 0)
CASE = flags.DEFINE_string("case", None, "SETTING,CASE: serve this one, in this process.")


def peak_tflops(name):
    """Peak of a device by its name, or None if it is unknown."""
    return next((peak for known, peak in PEAKS.items() if known in name), None)


def device_facts_reader(framework):
    """Function that returns name and memory of the device of "jax" or "torch".

    Memory is the peak in MiB since the process started, or None on a CPU.
    """

    def read_jax():
        import jax

        [device, *_] = jax.local_devices()
        held = (device.memory_stats() or {}).get("peak_bytes_in_use")
        return {"device": device.device_kind, "held": held and held / 2**20}

    def read_torch():
        import torch

        if not torch.cuda.is_available():
            return {"device": "cpu", "held": None}
        held = torch.cuda.max_memory_allocated() / 2**20
        return {"device": torch.cuda.get_device_name(), "held": held}

    return {"jax": read_jax, "torch": read_torch}[framework]


def forward_flops(network):
    """FLOPs of an image in a Keras network: two for each product with a kernel.

    Only convolutions and dense layers count: normalisation, activations and pooling are a small
    part of the operations, though not of the time.
    """
    import keras

    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            total += forward_flops(layer)
        elif isinstance(layer, keras.layers.Conv2D):
            places = math.prod(layer.output.shape[1:-1])
            total += 2 * places * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += 2 * math.prod(layer.kernel.shape)
    return total


def step_flops(model):
    """FLOPs of an image in a step: student forward and twice that backward, teacher forward.

    Views, similarities to the queue and the optimizer count as time, not as work.
    """
    student = [model.student_backbone, model.projector, model.predictor]
    teacher = [model.teacher_backbone, model.teacher_projector]
    once, thrice = (
        sum(forward_flops(part) for part in parts if part is not None)
        for parts in (teacher, student)
    )
    return once + 3 * thrice


def setting_with_flags(name):
    """A setting with the sizes of the flags."""
    given = {"batch_size": BATCH_SIZE, "image_size": IMAGE_SIZE, "queue_size": QUEUE_SIZE}
    sizes = {size: flag.value for size, flag in given.items() if flag.value is not None}
    return dataclasses.replace(ALL_SETTINGS[name], **sizes)


def make_batch(setting, case):
    """Two views, or the uint8 images to make them from, which are larger than large views."""
    import numpy as np

    if case != "views":
        return (make_views(setting),)
    size = setting.image_size * 8 // 7 if setting.image_size >= 64 else setting.image_size
    shape = (setting.batch_size, size, size, 3)
    return (np.random.default_rng(0).integers(0, 256, shape, "uint8"),)


def serve_ours(setting, case):
    """Serves steps of our model, or its bare passes."""
    import keras

    import keras_isd

    keras.mixed_precision.set_global_policy(POLICY.value)
    augmenters = {}
    if case == "views":
        views = keras_isd.recipes.get_recipe(setting.recipe).views
        blur = {} if setting.image_size >= 64 else {"blur": 0}
        query, key = (
            view(setting.image_size, **(blur if view.__name__ == "strong" else {}))
            for view in views
        )
        augmenters = {"query_augmenter": query, "key_augmenter": key, "seed": 0}
    model = make_model(setting, **augmenters)
    flops = step_flops(model)
    if case == "bare":
        model = bare_passes(model)
    model.compile(keras_isd.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4))
    device_facts = device_facts_reader(keras.backend.backend())
    batch = to_device(make_batch(setting, case))
    serve(
        lambda count: fit_seconds(model, batch, count, together=True),
        lambda: {**device_facts(), "flops": flops},
    )


def serve_case(name, case):
    setting = setting_with_flags(name)
    if case == "authors":
        step = make_authors_step(REFERENCE.value, setting, POLICY.value, together=True)
        serve(step, device_facts_reader("torch"))
    elif case == "lightly":
        serve(make_lightly_step(setting, POLICY.value), device_facts_reader("torch"))
    else:
        serve_ours(setting, case)


def runnable_cases():
    """The cases of the flags that can run here."""
    unknown = sorted({*CASES.value} - {*TITLES}) + sorted({*SETTINGS.value} - {*ALL_SETTINGS})
    if unknown or not {"step", "views", "bare"} & {*CASES.value}:
        raise app.UsageError(
            f"--cases must be among {list(TITLES)}, with one of the first three, and --settings "
            f"among {list(ALL_SETTINGS)}. Received: {CASES.value} and {SETTINGS.value}"
        )
    found = [case for case in CASES.value if case != "authors" or REFERENCE.value]
    if "lightly" in found and (error := lightly_import_error()):
        print(f"lightly cannot be imported and is left out: {error}")
        found.remove("lightly")
    return found


def report(name, medians, processes):
    """Prints the table of a setting, with the FLOPs and the peak of its shares."""
    setting = setting_with_flags(name)
    ours = next(p.facts for case, p in processes.items() if case in ("step", "views", "bare"))
    flops = ours["flops"]
    peak = PEAK.value or peak_tflops(ours["device"])
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    print(f"\n{backend} on {ours['device']}, {POLICY.value}, {name}: {setting}\n")
    print(f"{flops / 1e9:.2f} GFLOPs an image in the networks; peak of the card: {peak} TFLOP/s\n")
    print("| case | ms | images/s | bare passes take | of the peak | GiB at most |")
    print("| --- " * 6 + "|")
    for case, process in processes.items():
        rate = setting.batch_size / medians[case]
        ratio = f"{medians['bare'] / medians[case]:.0%}" if "bare" in medians else ""
        share = f"{rate * flops / (1e12 * peak):.1%}" if peak else "unknown"
        memory = (process.facts["held"] or process.peak) / 2**10
        row = f"{1e3 * medians[case]:,.1f} | {rate:,.0f} | {ratio} | {share} | {memory:.1f}"
        print(f"| {TITLES[case]} | {row} |", flush=True)


def main(_):
    if CASE.value:
        serve_case(*CASE.value.split(","))
        return
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in ("jax", "torch"):
        raise app.UsageError(f"KERAS_BACKEND must be jax or torch. Received: {backend}")
    # JAX would take most of the card for the first process.
    environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    passed = (POLICY, REFERENCE, BATCH_SIZE, IMAGE_SIZE, QUEUE_SIZE)
    own = [f"--{flag.name}={flag.value}" for flag in passed if flag.value is not None]
    cases = runnable_cases()
    for name in SETTINGS.value:
        processes = {
            case: MeasuredProcess(__file__, f"--case={name},{case}", *own, **environment)
            for case in cases
        }
        report(name, take_turns(processes, ROUNDS.value, STEPS.value), processes)
        for process in processes.values():
            process.close()


if __name__ == "__main__":
    app.run(main)
