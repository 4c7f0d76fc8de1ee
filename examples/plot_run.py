"""Draws the course of a run of `examples/cifar.py` or `examples/imagenet.py` from its CSV log.

python examples/plot_run.py --log=runs/cifar.csv --figure=course.png
"""

import quiet_start  # noqa: F401, before all else

# isort: split
from absl import app, flags

from keras_isd import visualization

LOG = flags.DEFINE_string("log", None, "Metrics by epoch.", required=True)
FIGURE = flags.DEFINE_string("figure", None, "Where to save the figure.", required=True)


def main(_):
    visualization.plot_history(visualization.read_csv_log(LOG.value), FIGURE.value)
    print(f"saved {FIGURE.value}")


if __name__ == "__main__":
    app.run(main)
