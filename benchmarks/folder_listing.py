"""How long a folder of very many images takes to list, and how much memory its source holds.

    python benchmarks/folder_listing.py --files=1000000

Makes the files first, tiny ones in folders of a thousand, in a folder that is deleted afterwards.
Memory is that of the process beyond what it holds with three pipelines of 300 files, before the
first batch and after it.
"""

import io
import os
import pathlib
import tempfile
import time

import numpy as np
from absl import app, flags
from measured_process import mebibytes
from PIL import Image

import keras_isd

FILES = flags.DEFINE_integer("files", 1_000_000, "How many.")
FOLDER = flags.DEFINE_string("folder", None, "Where to make them; a new one by default.")


def make(folder, count):
    image = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 100, "uint8")).save(image, "JPEG")
    for number in range(count):
        if number % 1000 == 0:
            part = pathlib.Path(folder, f"class_{number // 1000:04}")
            part.mkdir()
        with open(part / f"photograph_{number:08}.jpg", "wb") as file:
            file.write(image.getvalue())


def main(_):
    weak = keras_isd.augmentation.weak(8)
    with tempfile.TemporaryDirectory() as folder:  # loads what there is
        make(folder, 300)
        few = keras_isd.data.from_folder(folder)
        for _ in range(3):
            next(iter(keras_isd.data.two_view_dataset(few, weak, weak, 256, seed=0)))
    with tempfile.TemporaryDirectory(dir=FOLDER.value) as folder:
        make(folder, FILES.value)
        os.sync()
        before, start = mebibytes("VmRSS"), time.perf_counter()
        source = keras_isd.data.from_folder(folder)
        listed = time.perf_counter() - start
        held = (mebibytes("VmRSS") - before) * 2**20 / len(source)
        print(
            f"{len(source):,} files listed in {listed:.1f} s, {held:.0f} bytes a file", flush=True
        )
        start = time.perf_counter()
        batches = keras_isd.data.two_view_dataset(source, weak, weak, 256, seed=0)
        next(iter(batches))
        first = time.perf_counter() - start
        held = (mebibytes("VmRSS") - before) * 2**20 / len(source)
        print(f"The first batch after {first:.1f} s; {held:.0f} bytes a file with the pipeline's")


if __name__ == "__main__":
    app.run(main)
