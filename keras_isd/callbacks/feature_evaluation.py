"""Evaluation of features during training, by k-NN or a linear probe."""

import keras

from keras_isd.callbacks.due_epochs import is_due
from keras_isd.evaluation.features import extract_features
from keras_isd.evaluation.knn import knn_accuracy
from keras_isd.evaluation.linear import linear_probe
from keras_isd.validation.arguments import check_in_range
from keras_isd.validation.features import check_sets

NETWORKS = ("student", "teacher")


class FeatureEvaluation(keras.callbacks.Callback):
    """Base class of callbacks that measure features of labelled images after epochs.

    A subclass has a `prefix` and defines `accuracy(bank, queries)` of two `Features`. The results
    enter `logs` as `{prefix}_student` and `{prefix}_teacher`, for the callbacks after it in the
    list, such as TensorBoard, `CSVLogger`, `ModelCheckpoint(monitor="knn_teacher", mode="max")` and
    `EarlyStopping`. The training run is not affected.

    It measures after the first epoch, every n-th epoch and the last. Invalid images and labels
    raise an error before the first step, for which all of them are read once.

    Args:
        train: batches of views and labels as in `keras_isd.evaluation.extract_features`, which can
            be iterated repeatedly: the labelled images to compare with or to learn from. All are
            used each time; a few thousand are enough for a curve.
        validation: the same for images to classify. To choose between runs or epochs, do not use
            the test set.
        every_n_epochs: int >= 1. Defaults to 1.
        networks: `"student"`, `"teacher"` or both. Only the student is measured if the teacher is
            not a copy of it, as in `DistillationModel`. Defaults to both.

    Raises:
        ValueError: if `every_n_epochs` is not positive, or `networks` has other values.
    """

    def __init__(self, train, validation, every_n_epochs=1, networks=NETWORKS):
        super().__init__()
        check_in_range("every_n_epochs", every_n_epochs, 1)
        networks = (networks,) if isinstance(networks, str) else tuple(networks)
        if not networks or not set(networks) <= set(NETWORKS):
            raise ValueError(f"Argument `networks` must be among {NETWORKS}. Received: {networks=}")
        self.train = train
        self.validation = validation
        self.every_n_epochs = every_n_epochs
        self.networks = networks

    def on_train_begin(self, logs=None):
        self._measured = [
            network
            for network in self.networks
            if getattr(self.model, f"{network}_backbone") is not None
        ]
        if not self._measured:
            raise ValueError(
                "Argument `networks` must name a network of the model with the student's input. "
                f"Received: networks={self.networks}, of {type(self.model).__name__}"
            )
        self.check(*self.features(self._measured[0]))

    def check(self, bank, queries):
        """Raises a ValueError if `accuracy` would raise one."""
        check_sets(*bank[:2], *queries[:2])

    def features(self, network):
        """Computes `Features` of the labelled images and of the images to classify."""
        model = self.model  # on JAX this copies the loop's values into the variables
        backbone = getattr(model, f"{network}_backbone")
        return [
            extract_features(backbone, part, verbose=0) for part in (self.train, self.validation)
        ]

    def on_epoch_end(self, epoch, logs=None):
        if is_due(epoch, self.every_n_epochs, self.params["epochs"]):
            for network in self._measured:
                logs[f"{self.prefix}_{network}"] = self.accuracy(*self.features(network))


class KNNEvaluation(FeatureEvaluation):
    """Measures k-nearest-neighbour accuracy of student and teacher during training.

    The fastest evaluation of features: no training, a few seconds. In the paper the teacher is
    ahead of the student until the learning rate falls.

    Args:
        train, validation, every_n_epochs, networks: see `FeatureEvaluation`.
        k: int, number of neighbours. Defaults to 20.
        temperature: float or None, see `keras_isd.evaluation.knn_accuracy`. Defaults to None.

    Example:

    >>> source = keras_isd.data.from_arrays(np.zeros((20, 8, 8, 3), "uint8"), np.arange(20) % 2)
    >>> batches = keras_isd.data.one_view_dataset(source, keras_isd.augmentation.evaluation(8), 10)
    >>> knn = keras_isd.callbacks.KNNEvaluation(batches, batches, every_n_epochs=5)
    """

    prefix = "knn"

    def __init__(
        self, train, validation, every_n_epochs=1, networks=NETWORKS, k=20, temperature=None
    ):
        super().__init__(train, validation, every_n_epochs, networks)
        self.k = k
        self.temperature = temperature

    def check(self, bank, queries):
        self.accuracy(bank, queries)  # takes a few seconds, and also checks `k`

    def accuracy(self, bank, queries):
        arguments = {"k": self.k, "temperature": self.temperature}
        return knn_accuracy(*bank[:2], *queries[:2], **arguments)["top1"]


class LinearProbe(FeatureEvaluation):
    """Measures the accuracy of a linear probe on the features of student and teacher.

    A new probe is trained each time, by `keras_isd.evaluation.linear_probe` with fewer epochs.

    Args:
        train, validation, every_n_epochs, networks: see `FeatureEvaluation`.
        epochs: int, epochs of the probe; the learning rate drops at half and at three quarters of
            them. Defaults to 10.
        **kwargs: further arguments of `keras_isd.evaluation.linear_probe`.

    Example:

    >>> source = keras_isd.data.from_arrays(np.zeros((20, 8, 8, 3), "uint8"), np.arange(20) % 2)
    >>> batches = keras_isd.data.one_view_dataset(source, keras_isd.augmentation.evaluation(8), 10)
    >>> probe = keras_isd.callbacks.LinearProbe(batches, batches, every_n_epochs=10)
    """

    prefix = "linear"

    def __init__(self, train, validation, every_n_epochs=1, networks=NETWORKS, epochs=10, **kwargs):
        super().__init__(train, validation, every_n_epochs, networks)
        self.arguments = {
            "epochs": epochs,
            "drop_epochs": (epochs // 2, 3 * epochs // 4),
            **kwargs,
        }

    def accuracy(self, bank, queries):
        return linear_probe(*bank[:2], *queries[:2], **self.arguments)["top1"]
