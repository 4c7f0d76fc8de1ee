"""What the command line answers on images with known truth, compared with trivial baselines.

    python experiments/domain.py --output=runs/domain --seeds=101,102,103 --minutes=8

For each seed `domain_images.py` draws cells on plates, with the backgrounds in turn, and woven
cloth with defects and copies. Then the commands run as a user would type them, without hints:
`train`, `embed`, `finetune` from 40 labels, `outliers --kind=local` and `duplicates`. The table has
the mean and, in brackets, the smallest and largest value of the seeds. Steps whose files exist are
not run again.
"""

import csv
import itertools
import json
import os
import pathlib
import subprocess
import time

import numpy as np
import tifffile
from absl import app, flags
from domain_images import BACKGROUNDS, read_truth, write_images
from PIL import Image
from sklearn.metrics import roc_auc_score

import keras_isd
from keras_isd import evaluation, exploration

OUTPUT = flags.DEFINE_string("output", "runs/domain", "Folder of images, runs and results.")
SEEDS = flags.DEFINE_list("seeds", ["101", "102", "103"], "Seeds of the images.")
MINUTES = flags.DEFINE_float("minutes", 8, "Time limit of training on the cells.")
LABELS = flags.DEFINE_integer("labels", 40, "Labelled cells.")
CLUSTERS = 20
CLOTH_MINUTES = 2  # features only add candidates of copies to those by perceptual hashes


def run_command(folder, wanted, *line):
    """Runs a command in a folder, unless its result exists; the output goes to log.txt."""
    if (folder / wanted).exists():
        return
    print(" ".join(["keras-isd", *line]), flush=True)
    start = time.monotonic()
    with open(folder / "log.txt", "a") as log:
        subprocess.run(
            ["keras-isd", *line], cwd=folder, stdout=log, stderr=log, check=True, env=os.environ
        )
        print(f"{line[0]}: {time.monotonic() - start:.0f} s", file=log)


def relative_name(folder, name):
    """A file's name relative to the folder; commands write absolute names, or as they read them."""
    folder = folder.resolve()
    return os.path.relpath(folder / name, folder)


def read_features(folder, table, truth):
    """Centred features, and the kind and plate of each image."""
    found = evaluation.load_features(folder / table)
    names = [relative_name(folder, name) for name in found.names]
    kinds, plates = ([truth[name][column] for name in names] for column in ("kind", "plate"))
    return found.features, np.array(kinds), np.array(plates)


def nearest_kind_accuracy(features, kinds, groups):
    """The share of images whose nearest image of another group is of their kind."""
    features = features - features.mean(axis=0)
    rows, _ = exploration.find_neighbors(features, k=1, exclude_groups=groups)
    return float((kinds[rows[:, 0]] == kinds).mean())


def purity(features, kinds):
    """The share of images that are of the commonest kind of their cluster."""
    labels = exploration.cluster_features(features - features.mean(axis=0), CLUSTERS)
    counts = [np.unique(kinds[labels == one], return_counts=True)[1] for one in np.unique(labels)]
    return sum(count.max() for count in counts) / len(kinds)


def measure_cells(folder):
    """Figures of the cells by name, each of the product and of the baselines."""
    truth = read_truth(folder / "cells_truth.csv")
    names = [name for name in truth if name.startswith("cells/")]
    random = np.random.RandomState(0)
    chosen = sorted(random.choice(names, LABELS.value, replace=False))
    table = folder / "labels.csv"
    table.write_text("name,label\n" + "".join(f"{n},{truth[n]['kind']}\n" for n in chosen))
    run_command(
        folder, "run/report.html", "train", "cells", "--output=run", f"--minutes={MINUTES.value}"
    )
    run_command(folder, "f.parquet", "embed", "cells", "--model=run", "--output=f.parquet")
    run_command(folder, "new.parquet", "embed", "cells_new", "--model=run", "--output=new.parquet")
    run_command(
        folder,
        "classifier/labels.csv",
        *("finetune", "labels.csv", "--model=run", "--output=classifier", "--classify=cells"),
    )
    features, kinds, plates = read_features(folder, "f.parquet", truth)
    new, new_kinds, _ = read_features(folder, "new.parquet", truth)
    found = {"product": figures_of(features, kinds, plates)}
    rows, _ = exploration.find_neighbors(features, new, k=1)
    found["product"]["new plate, nearest old image"] = float(
        (kinds[rows[:, 0]] == new_kinds).mean()
    )
    with open(folder / "classifier/labels.csv", newline="") as file:
        predicted = {
            relative_name(folder, line["name"]): line["label"] for line in csv.DictReader(file)
        }
    others = [name for name in names if name not in set(chosen)]
    found["product"][f"{LABELS.value} labels"] = float(
        np.mean([predicted[name] == truth[name]["kind"] for name in others])
    )
    return found | measure_cell_baselines(folder, truth, names, chosen, others)


def figures_of(features, kinds, plates):
    return {
        "cells, 1-NN across plates": nearest_kind_accuracy(features, kinds, plates),
        f"cells, purity of {CLUSTERS} clusters": purity(features, kinds),
    }


def measure_cell_baselines(folder, truth, names, chosen, others):
    """The same figures of features that need no training."""
    images = np.stack([tifffile.imread(folder / name) for name in names]).astype("float32")
    images -= np.median(images, axis=(1, 2), keepdims=True)
    images /= images.std(axis=(1, 2), keepdims=True)
    kinds, plates = (np.array([truth[n][c] for n in names]) for c in ("kind", "plate"))
    features = evaluation.simple_features(images[..., None], ["spectrum", "gradients"])
    features["pixels"] = images[:, ::4, ::4].reshape(len(images), -1)
    found = {}
    rows = {name: row for row, name in enumerate(names)}
    known, rest = (np.array([rows[name] for name in part]) for part in (chosen, others))
    numbers = np.unique(kinds, return_inverse=True)[1]
    # Cells of a kind without a label are never classified correctly.
    possible = rest[np.isin(numbers[rest], numbers[known])]
    for name, values in features.items():
        result = evaluation.logistic_regression(
            values[known], numbers[known], values[possible], numbers[possible], strengths=[1e-2]
        )
        found[name] = figures_of(values, kinds, plates)
        found[name][f"{LABELS.value} labels"] = result["top1"] * len(possible) / len(rest)
    return found


def measure_cloth(folder):
    """Figures of defects and copies by name, of the product and of a baseline each."""
    truth = read_truth(folder / "cloth_truth.csv")
    run_command(folder, "outliers.csv", "outliers", "cloth", "--kind=local", "--no-picture")
    run_command(
        folder, "cloth_run/report.html",
        *("train", "cloth", "--output=cloth_run", f"--minutes={CLOTH_MINUTES}"),
    )  # fmt: skip
    run_command(folder, "c.parquet", "embed", "cloth", "--model=cloth_run", "--output=c.parquet")
    run_command(folder, "duplicates.csv", "duplicates", "c.parquet", "--no-picture")
    with open(folder / "outliers.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    names = [relative_name(folder, line["name"]) for line in lines]
    is_defect = np.array([truth[name]["kind"] in ("thread", "hole", "stain") for name in names])
    found = {}
    for name, column in (("product", "score"), ("PCA of pixels", "pixel_score")):
        scores = np.array([float(line[column]) for line in lines])
        first = is_defect[np.argsort(-scores, kind="stable")[: is_defect.sum()]]
        found[name] = {
            "defects, AUC": float(roc_auc_score(is_defect, scores)),
            f"defects among the first {is_defect.sum()}": float(first.mean()),
        }
    right = {frozenset((n, line["original"])) for n, line in truth.items() if line["original"]}
    found["product"] |= copies_found(read_pairs(folder), right)
    found["phash"] = copies_found(hash_pairs(folder, [*truth]), right)
    return found


def read_pairs(folder):
    """The pairs of images that `duplicates` verified."""
    groups: dict = {}
    with open(folder / "duplicates.csv", newline="") as file:
        for line in csv.DictReader(file):
            name = relative_name(folder, line["name"])
            groups.setdefault(line["group"], set()).add(name)
    return {frozenset(p) for g in groups.values() for p in itertools.combinations(g, 2)}


def hash_pairs(folder, names):
    """The pairs of images whose perceptual hashes differ in at most 60 of 256 bits."""
    import imagehash

    hashes = np.stack(
        [imagehash.phash(Image.open(folder / name), 16).hash.ravel() for name in names]
    ).astype("float32")
    distances = hashes @ (1 - hashes.T) + (1 - hashes) @ hashes.T
    near = np.argwhere(np.triu(distances <= 60, 1))
    return {frozenset((names[a], names[b])) for a, b in near}


def copies_found(pairs, right):
    return {
        "copies, precision": len(pairs & right) / max(1, len(pairs)),
        "copies, share found": len(pairs & right) / len(right),
    }


def make_table(results):
    """Rows of Markdown: each figure of each method, over the seeds."""
    figures = {name: None for result in results for one in result.values() for name in one}
    methods = [*{method: None for result in results for method in result}]
    lines = [f"| | {' | '.join(methods)} |", "| --- |" + " --- |" * len(methods)]
    for figure in figures:
        cells = []
        for method in methods:
            values = [r[method][figure] for r in results if figure in r.get(method, {})]
            spread = f" [{min(values):.3f}, {max(values):.3f}]" if values else ""
            cells.append(f"{np.mean(values):.3f}{spread}" if values else "")
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return lines


def main(_):
    results = []
    for seed, background in zip(SEEDS.value, itertools.cycle(BACKGROUNDS), strict=False):
        setting = f"seed{seed}_{MINUTES.value:g}_minutes_{LABELS.value}_labels"
        folder = pathlib.Path(OUTPUT.value, setting)
        file = folder / "results.json"
        if not file.is_file():
            write_images(folder, background, int(seed))
            cells, cloth = measure_cells(folder), measure_cloth(folder)
            found = {name: cells.get(name, {}) | cloth.get(name, {}) for name in {**cells, **cloth}}
            file.write_text(json.dumps(found, indent=1))
        results.append(json.loads(file.read_text()))
    print(f"keras_isd {keras_isd.__version__}, {len(results)} seeds, --minutes={MINUTES.value:g}")
    print(*make_table(results), sep="\n")


if __name__ == "__main__":
    app.run(main)
