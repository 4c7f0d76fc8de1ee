"""Makes one table of many runs of `experiments/cifar.py`, as Markdown.

    python experiments/cifar_table.py runs/*.json
    python experiments/cifar_table.py --minus=moco runs/*.json

Runs that differ only in their seed are one row: the mean of their accuracies in percent, after the
last epoch, and the standard deviation over seeds. If the runs recorded their speed, the row also
has the images a second of their epochs, and of the bare passes of their networks. With
`--minus=METHOD` a row is the difference from that method's runs with the same data, scale and
seeds, each method as it was tuned; with `--minus=recipe`, for ablations, from the same method's
runs by its recipe.
"""

import collections
import json
import pathlib
import statistics

from absl import app, flags

NETWORK = flags.DEFINE_enum(
    "network", "student", ["student", "teacher", "untrained"], "Network to report."
)
MINUS = flags.DEFINE_enum(
    "minus",
    None,
    ["isd", "moco", "byol", "msf", "ressl", "distillation", "recipe"],
    "Runs to subtract, by seed.",
)

# Flags that do not distinguish experiments: seeds, paths, and how a run is made or observed.
IGNORED = {"seed", "output", "data_dir", "resume", "plot_views", "knn_every", "flagfile", "arrays"}
IGNORED |= {"minutes", "configuration"}
IGNORED |= {"teacher_features"}  # a path; the run's settings have a fingerprint of its contents
# Flags in which two methods must agree to be compared; each method has its own tuning.
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
    """The flags that distinguish a run's experiment, without those at their defaults."""
    differing = {}
    for name, value in flags_of_run.items():
        if name not in IGNORED and value not in (DEFAULTS.get(name), [], None):
            differing[name] = ",".join(value) if isinstance(value, list) else value
    return frozenset(differing.items())


def experiment_key(run):
    """The experiment of a run; with another teacher it is another experiment."""
    key = experiment(run["flags"])
    if "teacher_features" in run["settings"]:
        key |= {("teacher_features", run["settings"]["teacher_features"])}
    return key


def read(paths):
    """Accuracies of a network by experiment and seed."""
    runs, first = collections.defaultdict(dict), {}
    for path in paths:
        run = json.loads(pathlib.Path(path).read_text())
        key = experiment_key(run)
        # A recipe may have changed since, and copies of a data set differ in pixels and in order.
        images = tuple(run["flags"].get(name) for name in ("preset", "dataset", "queries"))
        for group, name in ((key, "settings"), (images, "data")):
            if first.setdefault((group, name), run[name]) != run[name]:
                raise app.UsageError(f"Runs to compare must have the same {name}. Received: {path}")
        seeds, seed = runs[key], run["flags"]["seed"]
        if seed in seeds:
            raise app.UsageError(f"Runs of one experiment must differ in seed. Received: {path}")
        seeds[seed] = run["accuracies"][NETWORK.value]
    return dict(runs)


def subtract(runs, baseline):
    """Differences of each experiment from a method's, or the recipe's, on the same data."""

    def compared(key, other):
        key, other = dict(key), dict(other)
        same = all(key.get(name) == other.get(name) for name in SHARED)
        if baseline == "recipe":
            same = same and all(key.get(n) == other.get(n) for n in ("method", "teacher_features"))
            return same and set(other) <= {"method", "teacher_features", *SHARED}
        return same and other["method"] == baseline

    differences = {}
    for key, seeds in runs.items():
        others = [other for other in runs if compared(key, other)]
        if len(others) > 1:
            raise app.UsageError(f"{baseline} must be run in one way. Received: {others}")
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


def read_rates(paths):
    """Images a second by experiment, of each run that recorded them."""
    names = {"images_per_second": "images/s", "bare_images_per_second": "bare passes, images/s"}
    rates = collections.defaultdict(lambda: collections.defaultdict(list))
    for path in paths:
        run = json.loads(pathlib.Path(path).read_text())
        for name, title in names.items():
            if name in run:
                rates[experiment_key(run)][title].append(run[name])
    return rates


def format_cell(values):
    if not values:
        return ""
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


def format_row(label, seeds, columns, rate, rate_columns):
    """A line of Markdown."""
    runs = seeds.values()
    cells = [format_cell([run[c] for run in runs if c in run]) for c in columns]
    cells += [f"{statistics.mean(rate[c]):,.0f}" if c in rate else "" for c in rate_columns]
    return f"| {label} | {len(seeds)} | " + " | ".join(cells) + " |"


def format_table(runs, rates=None, suffix=""):
    """Markdown of the runs of `read`, with their rates; `suffix` is added to the rows' names."""
    rates = rates or {}
    columns = list(
        dict.fromkeys(c for seeds in runs.values() for run in seeds.values() for c in run)
    )
    rate_columns = list(dict.fromkeys(c for rate in rates.values() for c in rate))
    titles = ["run", "seeds", *columns, *rate_columns]
    lines = ["| " + " | ".join(titles) + " |", "| --- " * len(titles) + "|"]
    for key, seeds in sorted(runs.items(), key=lambda item: sorted(map(str, item[0]))):
        label = " ".join(f"{name}={value}" for name, value in sorted(key)) + suffix
        lines.append(format_row(label, seeds, columns, rates.get(key, {}), rate_columns))
    return "\n".join(lines)


def main(arguments):
    runs = read(arguments[1:])
    if MINUS.value:
        runs = subtract(runs, MINUS.value)
    if not runs:
        raise app.UsageError(f"There must be runs to compare. Received: {arguments[1:]}")
    minus = MINUS.value
    rates = None if minus else read_rates(arguments[1:])
    print(format_table(runs, rates, f" less {minus}" if minus else ""))


if __name__ == "__main__":
    app.run(main)
