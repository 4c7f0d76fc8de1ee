"""How seconds and memory of a training step grow: with the queue, with the batch, with devices.

    KERAS_BACKEND=jax python benchmarks/growth.py --figures=docs/figures

- `queue`: a network of one small dense layer, 64 images of 2 by 2 pixels, anchors of 128 numbers,
  stored as float32, as bfloat16 and, on JAX, as float32 split over four devices. Large queues are
  read in blocks, as a model does it by itself.
- `batch`: a small ConvNet on images of 32 pixels, 4,096 anchors of 128 numbers.
- `devices`: the same, its batch shared out to logical devices of this machine (JAX, TensorFlow).
  They have no more cores than one has, so this is what sharing out costs, not what it gains.

Each case is a process of its own; those of one plot take turns. Printed, as Markdown, and drawn are
the median seconds of a step and the most memory that the process held while it trained.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pathlib

import logical_devices
from absl import app, flags
from measured_process import MeasuredProcess, serve, take_turns

PLOTS = flags.DEFINE_list("plots", ["queue", "batch", "devices"], "Which of them.")
ANCHORS = flags.DEFINE_list(
    "anchors", ["4096", "65536", "262144", "1048576", "4194304"], "Sizes of the queue."
)
BATCHES = flags.DEFINE_list("batches", ["32", "128", "512", "2048", "4096"], "Sizes of the batch.")
DEVICES = flags.DEFINE_list("devices", ["1", "2", "4", "8"], "Numbers of devices.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each case.")
STEPS = flags.DEFINE_integer("steps", 3, "Steps a turn.")
FIGURES = flags.DEFINE_string("figures", None, "Folder for a figure of each plot, by backend.")
CASE = flags.DEFINE_string("case", None, "ANCHORS,DTYPE,BATCH,DEVICES,WHICH: serve this one.")

DIM = 128
SPLIT_OVER = 4


def cases_of(plot, backend):
    """Lines of a plot: dict of names to dicts of a place on its axis to a case's arguments."""
    if plot == "batch":
        return {"": {int(b): (4096, "float32", b, 1, "batch") for b in BATCHES.value}}
    if plot == "devices":
        numbers = DEVICES.value if backend != "torch" else ["1"]  # Keras has no more there
        return {"": {int(n): (4096, "float32", 256, n, "devices") for n in numbers}}
    lines = {
        dtype: {int(k): (k, dtype, 64, 1, "queue") for k in ANCHORS.value}
        for dtype in ("float32", "bfloat16")
    }
    if backend == "jax":
        lines[f"float32, over {SPLIT_OVER} devices"] = {
            int(k): (k, "float32", 64, SPLIT_OVER, "queue") for k in ANCHORS.value
        }
    return lines


def backbone_of(plot):
    """The network and the side of its images."""
    import keras
    from keras import layers

    import keras_isd

    if plot != "queue":
        return keras_isd.backbones.ConvNet((32, 32, 3), (16, 32, DIM)), 32
    images = keras.Input((2, 2, 3))
    return keras.Model(images, layers.Dense(DIM)(layers.Flatten()(images))), 2


def serve_case(anchors, dtype, batch, devices, plot):
    devices = int(devices)
    logical_devices.make(devices)
    from step_times import fit_seconds, random_views

    import keras_isd

    splits = plot == "queue" and devices > 1
    with logical_devices.split_queue() if splits else logical_devices.scope(devices):
        backbone, side = backbone_of(plot)
        model = keras_isd.ISDModel(backbone, queue_size=int(anchors), queue_dtype=dtype)
        model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9))
    views = random_views(int(batch), side, side, 3)
    serve(lambda count: fit_seconds(model, (views,), count))


def measure(plot, backend):
    """Lines of a plot: dict of names to dicts of a place to milliseconds and MiB."""
    found = {}
    for name, places in cases_of(plot, backend).items():
        processes = {
            place: MeasuredProcess(__file__, f"--case={','.join(map(str, case))}")
            for place, case in places.items()
        }
        medians = take_turns(processes, ROUNDS.value, STEPS.value)
        found[name] = {place: (1e3 * medians[place], processes[place].peak) for place in places}
        for process in processes.values():
            process.close()
    return found


def report(plot, backend, found):
    print(f"\n{backend}: milliseconds of a step, MiB of the process\n")
    places = list(next(iter(found.values())))
    print(f"| {plot} | " + " | ".join(f"{place:,}" for place in places) + " |")
    print("| --- " * (len(places) + 1) + "|")
    for name, line in found.items():
        cells = [f"{ms:,.0f}, {mib:,.0f}" for ms, mib in line.values()]
        print(f"| {name or 'step'} | " + " | ".join(cells) + " |", flush=True)


def draw(plot, backend, found, folder):
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    places = list(next(iter(found.values())))
    figure = Figure(figsize=(8, 3), layout="constrained")
    panels = figure.subplots(1, 2)
    for which, (panel, title) in enumerate(zip(panels, ("ms a step", "MiB of the process"))):
        for name, line in found.items():
            panel.plot(line.keys(), [values[which] for values in line.values()], "o-", label=name)
        panel.set(xscale="log", yscale="log", xlabel=plot, ylabel=title)
        panel.set_xticks(places, [f"{place:,}" for place in places], fontsize="small", rotation=20)
        panel.minorticks_off()
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.grid(alpha=0.3)
    if len(found) > 1:
        panels[0].legend(fontsize="small")
    figure.savefig(pathlib.Path(folder, f"growth_{plot}_{backend}.png"), dpi=120)


def main(_):
    if CASE.value:
        serve_case(*CASE.value.split(","))
        return
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    for plot in PLOTS.value:
        found = measure(plot, backend)
        report(plot, backend, found)
        if FIGURES.value:
            draw(plot, backend, found, FIGURES.value)


if __name__ == "__main__":
    app.run(main)
