"""Draws the metrics of a run by epoch.

    keras-isd plot RUN --output=metrics.png
    keras-isd plot runs/cifar.csv --output=metrics.png

RUN is the folder of a run, or a CSV file with a line for each epoch.
"""

import pathlib

import keras_isd
from keras_isd.command.values import path


def add_arguments(parser):
    parser.add_argument("run_folder", type=path, metavar="RUN", help="folder of a run, or a .csv")
    parser.add_argument("--output", type=path, default="metrics.png", help="figure to write")


def run(arguments):
    log = pathlib.Path(arguments.run_folder)
    log = log / "metrics.csv" if log.is_dir() else log
    metrics = keras_isd.visualization.read_csv_log(log)
    keras_isd.visualization.plot_history(metrics, arguments.output)
    print(f"drawn in {arguments.output}")
