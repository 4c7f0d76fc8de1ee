"""Makes one table of many runs of `examples/cifar.py`, as Markdown.

    python examples/cifar_table.py runs/*.json
    python examples/cifar_table.py --minus=moco runs/*.json

Runs that differ in nothing but their seed are one row: the mean of their accuracies in percent,
after the last epoch, and the standard deviation over seeds. Where the runs tell how fast they went,
that stands beside it: images a second of their epochs, and of the bare passes of their networks.
With `--minus=METHOD` a row is the difference from that method's runs of the same data, scale and
seeds instead, each as it was tuned; with `--minus=recipe`, for ablations, from the same method's
runs by its recipe.
"""

import collections
import json
import pathlib
import statistics

from absl import app, flags

NETWORK = flags.DEFINE_enum("network", "student", ["student", "teacher", "untrained"], "Whose.")
MINUS = flags.DEFINE_enum(
    "minus",
    None,
    ["isd", "moco", "byol", "msf", "ressl", "distillation", "recipe"],
    "What to compare with, by seed.",
)

# What does not make another experiment.
OWN = {"seed", "output", "data_dir", "resume", "plot_views", "knn_every", "flagfile", "arrays"}
OWN |= {"minutes"}
OWN |= {"teacher_features"}  # a place, of which the facts of a run say what is there
# What two methods must share to be compared; how each was tuned is its own.
SHARED = {"preset", "dataset", "subset", "train_images", "queries", "epochs", "views_on", "policy"}
DEFAULTS = {
    "preset": "full",
    "dataset": "cifar10",
    "subset": "all",
    "queries": "test",
    "views_on": "host",
    "anchors": "queue",
    "student_heads": "linear",
    "policy": "float32",
}


def experiment(flags_of_run):
    """The flags that say what was run, those at their defaults left out."""
    told = {}
    for name, value in flags_of_run.items():
        if name not in OWN and value not in (DEFAULTS.get(name), [], None):
            told[name] = ",".join(value) if isinstance(value, list) else value
    return frozenset(told.items())


def key_of(run):
    """The experiment that a run is one of; another teacher is another experiment."""
    key = experiment(run["flags"])
    if "teacher_features" in run["settings"]:
        key |= {("teacher_features", run["settings"]["teacher_features"])}
    return key


def read(paths):
    """Accuracies of a network by experiment and seed."""
    runs, told = collections.defaultdict(dict), {}
    for path in paths:
        run = json.loads(pathlib.Path(path).read_text())
        key = key_of(run)
        # A recipe may have changed since, and copies of a data set differ in pixels and in order.
        images = tuple(run["flags"].get(name) for name in ("preset", "dataset", "queries"))
        for what, name in ((key, "settings"), (images, "data")):
            if told.setdefault((what, name), run[name]) != run[name]:
                raise app.UsageError(f"Runs to compare must have the same {name}. Received: {path}")
        seeds, seed = runs[key], run["flags"]["seed"]
        if seed in seeds:
            raise app.UsageError(f"Two runs are of one experiment and seed. Received: {path}")
        seeds[seed] = run["accuracies"][NETWORK.value]
    return dict(runs)


def minus(runs, what):
    """Differences of each experiment from that of a method, or of the recipe, on the same data."""

    def compared(key, other):
        key, other = dict(key), dict(other)
        same = all(key.get(name) == other.get(name) for name in SHARED)
        if what == "recipe":
            same = same and all(key.get(n) == other.get(n) for n in ("method", "teacher_features"))
            return same and set(other) <= {"method", "teacher_features", *SHARED}
        return same and other["method"] == what

    differences = {}
    for key, seeds in runs.items():
        others = [other for other in runs if compared(key, other)]
        if len(others) > 1:
            raise app.UsageError(f"{what} must be run in one way. Received: {others}")
        if not others or key == others[0]:
            continue
        other = runs[others[0]]
        pairs = {
            seed: {row: one[row] - other[seed][row] for row in one}
            for seed, one in seeds.items()
            if seed in other
        }
        if pairs:
            differences[key] = pairs
    return differences


def rates(paths):
    """Images a second by experiment, of each run that tells them."""
    names = {"images_per_second": "images/s", "bare_images_per_second": "bare passes, images/s"}
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for path in paths:
        run = json.loads(pathlib.Path(path).read_text())
        for name, title in names.items():
            if name in run:
                found[key_of(run)][title].append(run[name])
    return found


def cell(values):
    if not values:
        return ""
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


def row(label, seeds, columns, rate, rate_columns):
    """A line of Markdown."""
    runs = seeds.values()
    cells = [cell([run[c] for run in runs if c in run]) for c in columns]
    cells += [f"{statistics.mean(rate[c]):,.0f}" if c in rate else "" for c in rate_columns]
    return f"| {label} | {len(seeds)} | " + " | ".join(cells) + " |"


def markdown(runs, found=None, after=""):
    """The table of `read`, with the rates of its experiments; each row is called so `after` it."""
    found = found or {}
    columns = list(
        dict.fromkeys(c for seeds in runs.values() for run in seeds.values() for c in run)
    )
    of_rates = list(dict.fromkeys(c for rate in found.values() for c in rate))
    titles = ["run", "seeds", *columns, *of_rates]
    lines = ["| " + " | ".join(titles) + " |", "| --- " * len(titles) + "|"]
    for key, seeds in sorted(runs.items(), key=lambda item: sorted(map(str, item[0]))):
        label = " ".join(f"{name}={value}" for name, value in sorted(key)) + after
        lines.append(row(label, seeds, columns, found.get(key, {}), of_rates))
    return "\n".join(lines)


def main(arguments):
    runs = read(arguments[1:])
    if MINUS.value:
        runs = minus(runs, MINUS.value)
    if not runs:
        raise app.UsageError(f"Nothing to make a table of. Received: {arguments[1:]}")
    less = MINUS.value
    print(markdown(runs, None if less else rates(arguments[1:]), f" less {less}" if less else ""))


if __name__ == "__main__":
    app.run(main)
