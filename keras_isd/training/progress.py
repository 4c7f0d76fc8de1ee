"""The progress of a run on one line."""

import time

import keras

# What is told of, by the names of metrics, and what it is called.
PROGRESS = {
    "loss": "loss",
    "view_retrieval": "other view nearest",
    "neighbor_stability": "neighbours kept",
    "knn_student": "k-NN",
    "feature_rank": "rank",
}
FORMATS = {"loss": ".3f", "feature_rank": ".0f"}  # shares else


class ProgressLine(keras.callbacks.Callback):
    """Tells of each epoch in one line: the loss, what the features are worth, and the time left.

    Args:
        tell: function that is called with each line.
        every_n_epochs: int, how often; and of the first and the last epoch.
    """

    def __init__(self, tell, every_n_epochs=1):
        super().__init__()
        self.tell = tell
        self.every_n_epochs = every_n_epochs

    def on_train_begin(self, logs=None):
        self._start, self._first = time.perf_counter(), None

    def on_epoch_begin(self, epoch, logs=None):
        if self._first is None:
            self._first = epoch

    def on_epoch_end(self, epoch, logs=None):
        number = epoch + 1
        if number % self.every_n_epochs and number not in (1, self.params["epochs"]):
            return
        taken = time.perf_counter() - self._start
        epochs = self.params["epochs"]
        left = taken / (epoch + 1 - self._first) * (epochs - epoch - 1)
        words = [f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}"]
        for name, title in PROGRESS.items():
            if name in logs:
                words.append(f"{title} {format(logs[name], FORMATS.get(name, '.1%'))}")
        words.append(f"{left / 60:.0f} min left")
        self.tell("  ".join(words))
