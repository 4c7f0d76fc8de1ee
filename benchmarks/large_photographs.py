"""Two views of 224 pixels of 12-megapixel photographs: images a second on this machine's cores.

    python benchmarks/large_photographs.py --folder=DIR    # any photographs, which are enlarged

Each photograph is enlarged to 4,000 by 3,000 pixels and saved as JPEG of quality 90 first, in a
folder that is deleted afterwards. Beside the views stands decoding alone, whole and at a quarter of
the scale, which is what most crops ask for; from a stored copy of 512 pixels the same views are
made without it. All are measured in one run, in turn; the median of the rounds is printed, of whole
passes and of their batches from the third on.
"""

import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags
from input_pipeline import ours, rates, report
from other_pipelines import BATCH, with_others
from PIL import Image

import keras_isd
from keras_isd.data.decoding.tf_decoding import decode_quickly

PHOTOGRAPHS = flags.DEFINE_integer("photographs", 64, "How many are enlarged.", 1)
PASSES = flags.DEFINE_integer("passes", 8, "How often a round goes through them.", 1)
SIZE = (4000, 3000)


def enlarge(source, folder):
    """Paths of large photographs."""
    paths = []
    for row in range(PHOTOGRAPHS.value):
        image = Image.fromarray(source[row % len(source)])
        path = pathlib.Path(folder, f"{row:04}.jpg")
        image.resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(str(path))
    return paths * PASSES.value


def decoding(paths, reduction):
    def size_of(path):
        image = decode_quickly(tf.io.read_file(path), tf.constant(1), tf.constant(reduction))
        return tf.shape(image)

    files = tf.data.Dataset.from_tensor_slices(paths)
    return files.map(size_of, tf.data.AUTOTUNE).batch(BATCH, drop_remainder=True)


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        paths = enlarge(keras_isd.data.from_folder(flags.FLAGS.folder), folder)
        source = keras_isd.data.from_paths(paths)
        copies = source.subset(np.arange(PHOTOGRAPHS.value)).resized(
            512, pathlib.Path(folder, "resized"), verbose=0
        )
        pipelines = {
            "keras_isd": ours(source, 224),
            "decoding alone, at a quarter of the scale": decoding(paths, 4),
            "decoding alone, whole": decoding(paths, 1),
            "keras_isd, from copies of 512 pixels": ours(
                copies.subset(np.resize(np.arange(len(copies)), len(paths))), 224
            ),
        }
        size = os.path.getsize(paths[0]) / 1e6
        title = f"224 pixels, from JPEG of 12 megapixels, the first of {size:.1f} MB"
        report(title, rates(with_others(pipelines, paths, 224)))


if __name__ == "__main__":
    app.run(main)
