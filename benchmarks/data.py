"""Measures the input pipeline: images a second, memory, and the time to list a folder.

    python benchmarks/data.py --folder=DIR                       # DIR/CLASS/*.JPEG, for 224 pixels
    python benchmarks/data.py                                    # 32 pixels, from an array
    python benchmarks/data.py --measure=photographs --folder=DIR # any photographs; enlarges them
    python benchmarks/data.py --measure=listing --files=1000000
    python benchmarks/data.py --measure=features

`views`: batches of a strong and a weak view, on this machine's cores. Other libraries, in PyTorch's
DataLoader with two workers, are included if they can be imported.

`photographs`: the same of 12-megapixel photographs. The program first enlarges each photograph to
4,000 by 3,000 pixels and saves it as JPEG of quality 90, in a temporary folder. The table also has
decoding alone, whole and at a quarter of the scale, which most crops need; and the same views made
from stored copies of 512 pixels.

In both, the pipelines take turns; the table, in Markdown, has the median over the rounds: for whole
passes, which have a start-up time, and for their batches from the third on.

`listing`: the time to list a folder of very many images, and the memory of its source. The program
first makes tiny files in folders of a thousand, in a temporary folder. Memory is that of the
process beyond its memory with three pipelines of 300 files, before and after the first batch.

`features`: the cost of a teacher's features in a pipeline, in an array, in a file, and without
them: 100,000 images of 32 pixels and 1,280 features each. The three take turns, each in a process
of its own; the table has the median, and the peak memory beyond that of the process before it makes
the pipeline, the images and an array of the features.
"""

import io
import os
import pathlib
import tempfile
import time

import numpy as np
from absl import app, flags
from measured_process import MeasuredProcess, mebibytes, serve, take_turns
from PIL import Image

MEASURE = flags.DEFINE_enum(
    "measure", "views", ["views", "photographs", "listing", "features"], "See above."
)
FOLDER = flags.DEFINE_string(
    "folder", None, "Images, one subfolder per class; for `listing`, where to make them."
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Images a batch; 64, of `features` 256.", 1)
ROUNDS = flags.DEFINE_integer("rounds", None, "Turns of each pipeline; 5, of `features` 3.", 1)
IMAGES = flags.DEFINE_integer(
    "images", None, "Images a round of 32 pixels; 25,600, of `features` 100,000."
)
FILES = flags.DEFINE_integer(
    "files", None, "Files a round, repeated if fewer; 1,024, of `listing` 1,000,000."
)
PHOTOGRAPHS = flags.DEFINE_integer("photographs", 64, "Photographs to enlarge.", 1)
PASSES = flags.DEFINE_integer("passes", 8, "Passes over the photographs a round.", 1)
WIDTH = flags.DEFINE_integer("width", 1_280, "Numbers of a teacher's feature.")
VIEW = flags.DEFINE_enum("view", "weak", ["weak", "strong"], "Student's view, of `features`.")
CASE = flags.DEFINE_string("case", None, "NAME,FILE: serve this case of `features`.")

WORKERS = 2
LARGE_SIZE = (4000, 3000)
FEATURE_CASES = ("without", "in an array", "in a file")


def batch_size():
    return BATCH_SIZE.value or 64


def keras_isd_views(source, size):
    import keras_isd

    strong = keras_isd.augmentation.strong(size, blur=0.5 if size > 32 else 0)
    weak = keras_isd.augmentation.weak(size)
    return keras_isd.data.two_view_dataset(source, strong, weak, batch_size(), seed=0)


def stock_chain(size, is_strong):
    """keras-cv's own layers, similar to the paper's views."""
    import keras_cv
    import tensorflow as tf

    layers = [
        keras_cv.layers.RandomCropAndResize((size, size), (0.2, 1.0), (3 / 4, 4 / 3)),
        keras_cv.layers.RandomFlip("horizontal"),
    ]
    if is_strong:
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


def stock_views(images, size):
    """The stock layers on `images`, a `tf.data.Dataset` of single images."""
    import tensorflow as tf

    query, key = stock_chain(size, is_strong=True), stock_chain(size, is_strong=False)
    if images.element_spec.shape.is_fully_defined():
        images = images.batch(batch_size(), drop_remainder=True)
        return images.map(lambda x: (query(x), key(x)), tf.data.AUTOTUNE).prefetch(2)
    # In tf.data RandomApply takes only batches, here of one image.
    single = images.map(lambda x: (query(x[None])[0], key(x[None])[0]), tf.data.AUTOTUNE)
    return single.batch(batch_size(), drop_remainder=True).prefetch(2)


def with_other_libraries(pipelines, items, size):
    """The pipelines, and those of the libraries that can be imported, on paths or on arrays."""
    others = {"torchvision": torchvision_views, "albumentations": albumentations_views}
    for name, views in others.items():
        try:
            loader = make_loader(items, *views(size))
        except (ImportError, RuntimeError):  # RuntimeError: built for another torch
            print(f"{name} cannot be imported and is left out")
        else:
            pipelines = {**pipelines, f"{name}, {WORKERS} workers": loader}
    return pipelines


def make_loader(items, read, strong, weak):
    import torch

    class Views(torch.utils.data.Dataset):
        def __len__(self):
            return len(items)

        def __getitem__(self, index):
            image = read(items[index])
            return strong(image), weak(image)

    return torch.utils.data.DataLoader(
        Views(),
        batch_size(),
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )


def torchvision_views(size):
    """Functions that read an item, and make its strong and its weak view, of Pillow's images."""
    from torchvision import transforms as t

    from keras_isd import augmentation

    def read(item):
        return Image.open(item).convert("RGB") if isinstance(item, str) else Image.fromarray(item)

    last = [t.RandomHorizontalFlip(), t.ToTensor(), t.Normalize(*augmentation.IMAGENET)]
    crop = t.RandomResizedCrop(size, scale=(0.2, 1.0))
    color = [t.RandomApply([t.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8), t.RandomGrayscale(0.2)]
    blur = [t.RandomApply([t.GaussianBlur(23, (0.1, 2.0))], 0.5)] if size > 32 else []
    return read, t.Compose([crop, *color, *blur, *last]), t.Compose([crop, *last])


def albumentations_views(size):
    """The same by albumentations on OpenCV: in 8 bits, and crops without antialiasing."""
    import albumentations as a
    import cv2
    import torch

    from keras_isd import augmentation

    def read(item):
        return cv2.cvtColor(cv2.imread(item), cv2.COLOR_BGR2RGB) if isinstance(item, str) else item

    def as_tensor(chain):
        def view(image):
            made = chain(image=image)["image"]
            return torch.from_numpy(np.ascontiguousarray(made.transpose(2, 0, 1)))

        return view

    last = [a.HorizontalFlip(p=0.5), a.Normalize(*augmentation.IMAGENET)]
    crop = a.RandomResizedCrop((size, size), scale=(0.2, 1.0))
    factor = (0.6, 1.4)
    color = [a.ColorJitter(factor, factor, factor, (-0.1, 0.1), p=0.8), a.ToGray(p=0.2)]
    blur = [a.GaussianBlur(23, (0.1, 2.0), p=0.5)] if size > 32 else []
    chains = a.Compose([crop, *color, *blur, *last]), a.Compose([crop, *last])
    return read, *map(as_tensor, chains)


def measure_rates(pipelines):
    """Median images a second of each pipeline, in whole passes and from the third batch on."""
    import keras

    seconds = {name: [] for name in pipelines}
    for round_ in range((ROUNDS.value or 5) + 1):  # the first compiles and warms up
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


def print_rates(title, rates):
    cores = len(os.sched_getaffinity(0))
    own = rates["keras_isd"]
    print(f"\n| {title} | images/s | from the third batch on | a core | keras_isd is |")
    print("| --- | --- | --- | --- | --- |")
    for name, (whole, later) in rates.items():
        ratios = f"{own[0] / whole:.2f}, {own[1] / later:.2f} times"
        cells = f"{whole:,.0f} | {later:,.0f} | {later / cores:,.0f} | {ratios}"
        print(f"| {name} | {cells} |", flush=True)


def print_memory(pipeline, epochs=3):
    """Prints the memory of the process after each of some further epochs (Linux)."""
    held = []
    for _ in range(epochs):
        for _ in pipeline:
            pass
        held.append(f"{mebibytes('VmRSS'):,.0f}")
    print(f"\nMiB held after each of {epochs} further epochs of keras_isd: {', '.join(held)}")


def decode_at(path, reduction=1):
    """A JPEG file decoded at a reduced scale."""
    import tensorflow as tf

    from keras_isd.data.decoding.tf_decoding import decode_quickly

    return decode_quickly(tf.io.read_file(path), tf.constant(1), tf.constant(reduction))


def decoding_alone(paths, reduction=1):
    """Batches of the sizes of decoded files."""
    import tensorflow as tf

    files = tf.data.Dataset.from_tensor_slices(paths)
    sizes = files.map(lambda path: tf.shape(decode_at(path, reduction)), tf.data.AUTOTUNE)
    return sizes.batch(batch_size(), drop_remainder=True)


def measure_views():
    import tensorflow as tf

    import keras_isd

    tf.get_logger().setLevel("ERROR")  # TensorFlow warns that it cannot vectorise keras-cv's layers
    shape = (IMAGES.value or 25_600, 32, 32, 3)
    arrays = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    pipelines = {
        "keras_isd": keras_isd_views(keras_isd.data.from_arrays(arrays), 32),
        "keras-cv's own layers": stock_views(tf.data.Dataset.from_tensor_slices(arrays), 32),
    }
    rates = measure_rates(with_other_libraries(pipelines, arrays, 32))
    print_rates("32 pixels, from an array", rates)
    if FOLDER.value:
        source = keras_isd.data.from_folder(FOLDER.value)
        source = source.subset(np.resize(np.arange(len(source)), FILES.value or 1024))
        files = tf.data.Dataset.from_tensor_slices(source.names)
        pipelines = {
            "keras_isd": keras_isd_views(source, 224),
            "JPEG decoding alone": decoding_alone(source.names),
            "keras-cv's own layers": stock_views(files.map(decode_at, tf.data.AUTOTUNE), 224),
        }
        rates = measure_rates(with_other_libraries(pipelines, source.names, 224))
        print_rates("224 pixels, from JPEG", rates)
        print_memory(pipelines["keras_isd"])


def enlarge(source, folder):
    """Paths of enlarged photographs, once for each pass."""
    paths = []
    for row in range(PHOTOGRAPHS.value):
        image = Image.fromarray(source[row % len(source)])
        path = pathlib.Path(folder, f"{row:04}.jpg")
        image.resize(LARGE_SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(str(path))
    return paths * PASSES.value


def measure_photographs():
    import keras_isd

    if FOLDER.value is None:
        raise app.UsageError("--measure=photographs requires --folder. Received: None")
    with tempfile.TemporaryDirectory() as folder:
        paths = enlarge(keras_isd.data.from_folder(FOLDER.value), folder)
        source = keras_isd.data.from_paths(paths)
        copies = source.subset(np.arange(PHOTOGRAPHS.value)).resized(
            512, pathlib.Path(folder, "resized"), verbose=0
        )
        repeated = copies.subset(np.resize(np.arange(len(copies)), len(paths)))
        pipelines = {
            "keras_isd": keras_isd_views(source, 224),
            "decoding alone, at a quarter of the scale": decoding_alone(paths, 4),
            "decoding alone, whole": decoding_alone(paths),
            "keras_isd, from copies of 512 pixels": keras_isd_views(repeated, 224),
        }
        size = os.path.getsize(paths[0]) / 1e6
        title = f"224 pixels, from JPEG of 12 megapixels, the first of {size:.1f} MB"
        print_rates(title, measure_rates(with_other_libraries(pipelines, paths, 224)))


def make_files(folder, count):
    """Writes tiny images in folders of a thousand."""
    image = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 100, "uint8")).save(image, "JPEG")
    for number in range(count):
        if number % 1000 == 0:
            part = pathlib.Path(folder, f"class_{number // 1000:04}")
            part.mkdir()
        (part / f"photograph_{number:08}.jpg").write_bytes(image.getvalue())


def measure_listing():
    import keras_isd

    weak = keras_isd.augmentation.weak(8)

    def first_batch(source):
        size = BATCH_SIZE.value or 256
        next(iter(keras_isd.data.two_view_dataset(source, weak, weak, size, seed=0)))

    with tempfile.TemporaryDirectory() as folder:  # loads all code that the measurement needs
        make_files(folder, 300)
        few = keras_isd.data.from_folder(folder)
        for _ in range(3):
            first_batch(few)
    with tempfile.TemporaryDirectory(dir=FOLDER.value) as folder:
        make_files(folder, FILES.value or 1_000_000)
        os.sync()
        before, start = mebibytes("VmRSS"), time.perf_counter()
        source = keras_isd.data.from_folder(folder)
        seconds = time.perf_counter() - start

        def bytes_per_file():
            return (mebibytes("VmRSS") - before) * 2**20 / len(source)

        held = f"{bytes_per_file():.0f} bytes a file"
        print(f"{len(source):,} files listed in {seconds:.1f} s, {held}", flush=True)
        start = time.perf_counter()
        first_batch(source)
        seconds = time.perf_counter() - start
        print(
            f"The first batch after {seconds:.1f} s; {bytes_per_file():.0f} bytes a file with the "
            "pipeline's"
        )


def serve_features(name, path):
    """Serves whole passes over the data: seconds of a batch in each."""
    import keras_isd

    view = getattr(keras_isd.augmentation, VIEW.value)(32)
    features = {"in an array": np.load(path), "in a file": path}.get(name)
    shape = (IMAGES.value, 32, 32, 3)
    source = keras_isd.data.from_arrays(np.random.default_rng(0).integers(0, 256, shape, "uint8"))

    def run(count):
        size = BATCH_SIZE.value
        if features is None:
            batches = keras_isd.data.one_view_dataset(source, view, size, seed=0, shuffle_buffer=1)
        else:
            batches = keras_isd.data.two_view_dataset(
                source, view, None, size, seed=0, teacher_features=features
            )
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            for _ in batches:
                pass
            seconds.append((time.perf_counter() - start) / len(batches))
        return seconds

    serve(run)


def measure_features():
    images, size = IMAGES.value or 100_000, BATCH_SIZE.value or 256
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "features.npy"
        rows = np.lib.format.open_memmap(path, "w+", "float32", (images, WIDTH.value))
        random = np.random.default_rng(0)
        for start in range(0, images, 10_000):
            rows[start : start + 10_000] = random.random(rows[start : start + 10_000].shape)
        del rows
        own = (f"--view={VIEW.value}", f"--images={images}", f"--batch_size={size}")
        cases = {
            name: MeasuredProcess(__file__, f"--case={name},{path}", *own) for name in FEATURE_CASES
        }
        medians = take_turns(cases, ROUNDS.value or 3, 1)
        print("| features | batches/s | MiB beyond | file, MiB |\n| --- | --- | --- | --- |")
        for name, process in cases.items():
            size = path.stat().st_size / 2**20
            print(f"| {name} | {1 / medians[name]:.0f} | {process.beyond:,.0f} | {size:,.0f} |")
            process.close()


def main(_):
    if CASE.value:
        serve_features(*CASE.value.split(","))
        return
    measures = {
        "views": measure_views,
        "photographs": measure_photographs,
        "listing": measure_listing,
        "features": measure_features,
    }
    measures[MEASURE.value]()


if __name__ == "__main__":
    app.run(main)
