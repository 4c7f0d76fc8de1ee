"""What exact k-NN costs: ours beside scikit-learn's brute force and faiss' flat index.

    pip install faiss-cpu; KERAS_BACKEND=jax python benchmarks/knn.py

Features of 50,000 images, 10,000 to classify, 512 numbers each. All are measured in one run, in
turn, each in a process of its own, and the median is printed with the most memory beyond the
features, as Markdown. faiss is left out where it is not installed.
"""

import importlib.util
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from measured_process import MeasuredProcess, serve, take_turns, timed

BANK = flags.DEFINE_integer("bank", 50_000, "Features to compare with.")
QUERIES = flags.DEFINE_integer("queries", 10_000, "Features to classify.")
DIM = flags.DEFINE_integer("dim", 512, "Width of a feature.")
NEIGHBORS = flags.DEFINE_list("k", ["1", "20", "200"], "Numbers of neighbours.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each.")
CASE = flags.DEFINE_string("case", None, "NAME,K: serve this one, in this process.")


def ours(bank, classes, queries, k):
    from keras_isd.evaluation import knn_accuracy

    labels = np.zeros(len(queries), int)
    return lambda: knn_accuracy(bank, classes, queries, labels, k=k)


def scikit_learn(bank, classes, queries, k):
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(k, algorithm="brute", metric="cosine").fit(bank, classes)
    return lambda: classifier.predict(queries)


def faiss_flat(bank, classes, queries, k):
    """Unit rows and their inner products; the vote is left out."""
    import faiss

    unit_bank, unit_queries = bank.copy(), queries.copy()
    faiss.normalize_L2(unit_bank)
    faiss.normalize_L2(unit_queries)
    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(unit_bank)
    return lambda: index.search(unit_queries, k)


ALL = {"keras_isd": ours, "scikit-learn": scikit_learn, "faiss flat": faiss_flat}


def serve_case(name, k):
    random = np.random.default_rng(0)
    bank = random.standard_normal((BANK.value, DIM.value), "float32")
    queries = random.standard_normal((QUERIES.value, DIM.value), "float32")
    classify = ALL[name](bank, np.arange(BANK.value) % 10, queries, int(k))

    serve(timed(classify))


def main(_):
    if CASE.value:
        serve_case(*CASE.value.split(","))
        return
    names = [name for name in ALL if "faiss" not in name or importlib.util.find_spec("faiss")]
    own = [f"--{f}={flags.FLAGS[f].value}" for f in ("bank", "queries", "dim")]
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


if __name__ == "__main__":
    app.run(main)
