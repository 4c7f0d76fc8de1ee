"""Draws the course of a run of `examples/cifar.py` or `examples/imagenet.py` from its CSV log.

python examples/plot_run.py --log=runs/cifar.csv --figure=course.png
"""

import quiet_start  # noqa: F401, before all else

# isort: split
import csv
import math

from absl import app, flags

from keras_isd import visualization

LOG = flags.DEFINE_string("log", None, "Metrics by epoch.", required=True)
FIGURE = flags.DEFINE_string("figure", None, "Where to save the figure.", required=True)


def number(text):
    """A logged value, or NaN where an epoch has none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def main(_):
    with open(LOG.value, newline="") as file:
        rows = list(csv.DictReader(file))
    history = {}
    for name in rows[0] if rows else ():
        values = [number(row[name]) for row in rows]
        values = [value for value in values if not math.isnan(value)]
        if values and not name.startswith("val_"):
            history[name] = values
    visualization.plot_history(history, FIGURE.value)
    print(f"saved {FIGURE.value}")


if __name__ == "__main__":
    app.run(main)
