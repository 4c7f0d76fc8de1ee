"""The metrics of a run by epoch, in a CSV file that a resumed run goes on with."""

import csv
import io
import pathlib

import keras

from keras_isd.files import write_text


class MetricsFile(keras.callbacks.Callback):
    """Writes the metrics of each epoch to a CSV file; of an epoch without one its cell is empty.

    Unlike `keras.callbacks.CSVLogger` its columns are those of all epochs, also where a run goes on
    in one in which less is measured, and epochs that are trained again have one row.

    Args:
        path: of the file.
        initial_epoch: int, where the run goes on: rows of later epochs are dropped.
    """

    def __init__(self, path, initial_epoch=0):
        super().__init__()
        self.path = pathlib.Path(path)
        self.rows = []
        if initial_epoch and self.path.is_file():
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.rows = [row for row in rows if int(row["epoch"]) < initial_epoch]

    def on_epoch_end(self, epoch, logs=None):
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch, **values})
        columns = sorted({name for row in self.rows for name in row} - {"epoch"})
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, ["epoch", *columns], lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        write_text(self.path, text.getvalue())
