"""Reports images that could not be read, after each epoch."""

import keras
from absl import logging


class ReportUnreadable(keras.callbacks.Callback):
    """Logs a warning after each epoch in which images could not be read.

    Args:
        source: `keras_isd.data.ImageSource`.
        names: int, number of images to name. Defaults to 5.

    Example:

    >>> source = keras_isd.data.from_arrays(np.zeros((4, 8, 8, 3), "uint8"))
    >>> callbacks = [keras_isd.callbacks.ReportUnreadable(source)]
    """

    def __init__(self, source, names=5):
        super().__init__()
        self.source = source
        self.names = names

    def on_epoch_end(self, epoch, logs=None):
        reasons = dict(self.source.unreadable())
        if reasons:
            listed = [f"{name}: {reason}" for name, reason in list(reasons.items())[: self.names]]
            more = len(reasons) - len(listed)
            logging.warning(
                "Epoch %d: %d of %d images could not be read and were replaced by others. %s%s",
                epoch + 1,
                len(reasons),
                len(self.source),
                "; ".join(listed),
                f"; and {more} more" if more else "",
            )
