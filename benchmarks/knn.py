"""Measures exact k-NN, and the callback that computes it after every epoch.

    pip install faiss-cpu; KERAS_BACKEND=jax python benchmarks/knn.py
    KERAS_BACKEND=tensorflow python benchmarks/knn.py --measure=callback

`search`: ours, scikit-learn's brute force and faiss' flat index, on features of 50,000 images, with
10,000 to classify, 512 numbers each. The cases take turns, each in a process of its own; the table,
in Markdown, has the median, and the peak memory beyond the features. faiss is left out if it is not
installed.

`callback`: k-NN of student and teacher on some labelled images, as `fit` calls it, compared with an
epoch of CIFAR's recipe on 50,000 images. The epoch is the number of its steps times the median of a
few; making views is not included.
"""

import importlib.util
import os
import statistics
import time

import numpy as np
from absl import app, flags
from measured_process import MeasuredProcess, serve, take_turns, timed

MEASURE = flags.DEFINE_enum("measure", "search", ["search", "callback"], "See above.")
BANK = flags.DEFINE_integer("bank", None, "Neighbours; 50,000, of `callback` 4,000 images.")
QUERIES = flags.DEFINE_integer("queries", None, "To classify; 10,000, of `callback` 1,000 images.")
DIM = flags.DEFINE_integer("dim", 512, "Width of a feature.")
NEIGHBORS = flags.DEFINE_list("k", ["1", "20", "200"], "Numbers of neighbours.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each case of `search`.")
BACKBONE = flags.DEFINE_enum(
    "backbone", "resnet18", ["resnet18", "convnet"], "Network of `callback`."
)
EPOCH = flags.DEFINE_integer("epoch", 50_000, "Images of an epoch.")
BATCH = flags.DEFINE_integer("batch", 256, "Images of a step.")
STEPS = flags.DEFINE_integer("steps", 3, "Steps that are timed in each of two turns.")
CASE = flags.DEFINE_string("case", None, "NAME,K: serve this case of `search`.")


def make_keras_isd(bank, classes, queries, k):
    from keras_isd.evaluation import knn_accuracy

    labels = np.zeros(len(queries), int)
    return lambda: knn_accuracy(bank, classes, queries, labels, k=k)


def make_scikit_learn(bank, classes, queries, k):
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(k, algorithm="brute", metric="cosine").fit(bank, classes)
    return lambda: classifier.predict(queries)


def make_faiss(bank, classes, queries, k):
    """Search by the inner products of unit rows, without the vote."""
    import faiss

    unit_bank, unit_queries = bank.copy(), queries.copy()
    faiss.normalize_L2(unit_bank)
    faiss.normalize_L2(unit_queries)
    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(unit_bank)
    return lambda: index.search(unit_queries, k)


CLASSIFIERS = {
    "keras_isd": make_keras_isd,
    "scikit-learn": make_scikit_learn,
    "faiss flat": make_faiss,
}


def serve_search(name, k):
    random = np.random.default_rng(0)
    bank = random.standard_normal((BANK.value, DIM.value), "float32")
    queries = random.standard_normal((QUERIES.value, DIM.value), "float32")
    classify = CLASSIFIERS[name](bank, np.arange(BANK.value) % 10, queries, int(k))
    serve(timed(classify))


def measure_search():
    names = [
        name for name in CLASSIFIERS if "faiss" not in name or importlib.util.find_spec("faiss")
    ]
    sizes = {"bank": BANK.value or 50_000, "queries": QUERIES.value or 10_000, "dim": DIM.value}
    own = [f"--{name}={value}" for name, value in sizes.items()]
    print(f"{os.environ.get('KERAS_BACKEND', 'tensorflow')}")
    print("| | neighbours | s | keras_isd takes | MiB beyond |\n| --- | --- | --- | --- | --- |")
    for k in NEIGHBORS.value:
        cases = {name: MeasuredProcess(__file__, f"--case={name},{k}", *own) for name in names}
        medians = take_turns(cases, ROUNDS.value, 1)
        for name, process in cases.items():
            ratio = f"{medians['keras_isd'] / medians[name]:.2f} times"
            row = f"{medians[name]:.2f} | {ratio} | {process.beyond:,.0f}"
            print(f"| {name} | {k} | {row} |", flush=True)
            process.close()


def labelled_batches(count):
    import keras_isd

    images = np.random.randint(0, 256, (count, 32, 32, 3)).astype("uint8")
    source = keras_isd.data.from_arrays(images, np.arange(count) % 10)
    return keras_isd.data.one_view_dataset(source, keras_isd.augmentation.evaluation(32), 500)


def measure_callback():
    from step_setting import fit_seconds, random_views

    import keras_isd

    arguments = {"queue_size": 65_536}
    if BACKBONE.value == "convnet":  # that of `examples/cifar.py --preset=cpu`
        arguments["backbone"] = keras_isd.backbones.ConvNet((32, 32, 3), (24, 48, 96, 192))
    model = keras_isd.ISDModel.from_recipe("cifar_resnet18", **arguments)
    model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9, weight_decay=5e-4))
    views = random_views(BATCH.value, 32, 32, 3)
    knn = keras_isd.callbacks.KNNEvaluation(
        labelled_batches(BANK.value or 4_000), labelled_batches(QUERIES.value or 1_000)
    )
    knn.set_model(model)
    knn.set_params({"epochs": 1})
    knn.on_train_begin()
    knn.on_epoch_end(0, {})  # compiles
    steps, calls = [], []
    for _ in range(2):  # in turn
        steps += fit_seconds(model, (views,), STEPS.value)
        start = time.perf_counter()
        knn.on_epoch_end(0, {})
        calls.append(time.perf_counter() - start)
    epoch = EPOCH.value // BATCH.value * statistics.median(steps)
    call = statistics.median(calls)
    print("| epoch, s | k-NN of student and teacher, s | share |\n| --- | --- | --- |")
    print(f"| {epoch:.0f} | {call:.1f} | {call / epoch:.1%} |")


def main(_):
    if CASE.value:
        serve_search(*CASE.value.split(","))
    else:
        {"search": measure_search, "callback": measure_callback}[MEASURE.value]()


if __name__ == "__main__":
    app.run(main)
