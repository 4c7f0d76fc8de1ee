"""What making two views costs: images a second on this machine's cores.

    python benchmarks/input_pipeline.py --folder=DIR    # DIR/CLASS/*.JPEG, for 224 pixels
    python benchmarks/input_pipeline.py                 # 32 pixels from an array alone

Each pipeline gives batches of a strong and a weak view; those of other libraries, with two workers,
run where they can be imported. All are measured in one run, in turn, and the median of the rounds
is printed, as Markdown: of whole passes, whose beginning costs some time, and of their batches from
the third on.
"""

import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_cv
import numpy as np
import tensorflow as tf
from absl import app, flags
from other_pipelines import BATCH, with_others

import keras_isd
from keras_isd import augmentation
from keras_isd.data.decoding.tf_decoding import decode_quickly

FOLDER = flags.DEFINE_string("folder", None, "Images in one subfolder for each class.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "How often each pipeline is measured.")
IMAGES = flags.DEFINE_integer("images", 25_600, "Images a round of 32 pixels.")
FILES = flags.DEFINE_integer("files", 1024, "Images a round of 224 pixels, over and over if fewer.")


def stock_chain(size, strong):
    """keras-cv's own layers as they come, near the paper's."""
    layers = [
        keras_cv.layers.RandomCropAndResize((size, size), (0.2, 1.0), (3 / 4, 4 / 3)),
        keras_cv.layers.RandomFlip("horizontal"),
    ]
    if strong:
        jitter = keras_cv.layers.RandomColorJitter((0, 255), 0.4, 0.4, (0.375, 7 / 12), 0.2)
        gray = keras_cv.layers.Grayscale(output_channels=3)
        layers[1:1] = [
            keras_cv.layers.RandomApply(jitter, rate=0.8),
            keras_cv.layers.RandomApply(gray, rate=0.2),
        ]
        if size > 32:
            blur = keras_cv.layers.RandomGaussianBlur(23, (0.1, 2.0))
            layers.insert(-1, keras_cv.layers.RandomApply(blur, rate=0.5))

    def views(images):
        x = tf.cast(images, "float32")
        for layer in layers:
            x = layer(x, training=True)
        return x / 255.0

    return views


def ours(source, size):
    strong = augmentation.strong(size, blur=0.5 if size > 32 else 0)
    return keras_isd.data.two_view_dataset(source, strong, augmentation.weak(size), BATCH, seed=0)


def stock(images, size):
    """The stock layers on `images`, a `tf.data.Dataset` of single images."""
    query, key = stock_chain(size, strong=True), stock_chain(size, strong=False)
    if images.element_spec.shape.is_fully_defined():
        images = images.batch(BATCH, drop_remainder=True)
        return images.map(lambda x: (query(x), key(x)), tf.data.AUTOTUNE).prefetch(2)
    # RandomApply takes batches alone in tf.data, here of one image.
    single = images.map(lambda x: (query(x[None])[0], key(x[None])[0]), tf.data.AUTOTUNE)
    return single.batch(BATCH, drop_remainder=True).prefetch(2)


def rates(pipelines):
    """Median images a second of each in whole passes, and from the third batch on."""
    seconds = {name: [] for name in pipelines}
    for round_ in range(ROUNDS.value + 1):  # the first compiles and warms up
        for name, pipeline in pipelines.items():
            start, count = time.perf_counter(), 0
            for number, batch in enumerate(pipeline):
                count += len(keras.tree.flatten(batch)[0])
                if number == 1:
                    later, before = time.perf_counter(), count
            end = time.perf_counter()
            if round_:
                seconds[name].append(((end - start) / count, (end - later) / (count - before)))
    return {name: 1 / np.median(times, axis=0) for name, times in seconds.items()}


def report(title, found):
    cores = len(os.sched_getaffinity(0))
    mine = found["keras_isd"]
    print(f"\n| {title} | images/s | from the third batch on | a core | keras_isd is |")
    print("| --- | --- | --- | --- | --- |")
    for name, (whole, later) in found.items():
        ratios = f"{mine[0] / whole:.2f}, {mine[1] / later:.2f} times"
        print(
            f"| {name} | {whole:,.0f} | {later:,.0f} | {later / cores:,.0f} | {ratios} |",
            flush=True,
        )


def report_memory(pipeline, epochs=3):
    """Prints how much memory the process holds after each of so many more epochs (Linux)."""
    held = []
    for _ in range(epochs):
        for _ in pipeline:
            pass
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        held.append(f"{pages * os.sysconf('SC_PAGE_SIZE') / 2**20:,.0f}")
    print(f"\nMiB held after each of {epochs} further epochs of keras_isd: {', '.join(held)}")


def main(_):
    tf.get_logger().setLevel("ERROR")  # keras-cv vectorises what TensorFlow cannot, and is told so
    arrays = np.random.default_rng(0).integers(0, 256, (IMAGES.value, 32, 32, 3)).astype("uint8")
    pipelines = {
        "keras_isd": ours(keras_isd.data.from_arrays(arrays), 32),
        "keras-cv's own layers": stock(tf.data.Dataset.from_tensor_slices(arrays), 32),
    }
    report("32 pixels, from an array", rates(with_others(pipelines, arrays, 32)))
    if FOLDER.value:
        source = keras_isd.data.from_folder(FOLDER.value)
        source = source.subset(np.resize(np.arange(len(source)), FILES.value))
        files = tf.data.Dataset.from_tensor_slices(source.names)

        def decode(path):
            return decode_quickly(tf.io.read_file(path), tf.constant(1))

        decoded = files.map(decode, tf.data.AUTOTUNE)
        pipelines = {
            "keras_isd": ours(source, 224),
            "JPEG decoding alone": decoded.map(lambda x: tf.shape(x)).batch(
                BATCH, drop_remainder=True
            ),
            "keras-cv's own layers": stock(decoded, 224),
        }
        report("224 pixels, from JPEG", rates(with_others(pipelines, source.names, 224)))
        report_memory(pipelines["keras_isd"])


if __name__ == "__main__":
    app.run(main)
