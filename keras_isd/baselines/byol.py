"""BYOL: Bootstrap Your Own Latent (Grill et al., 2020), in the form that ISD's paper uses."""

import keras
from keras import ops

from keras_isd.models.momentum_model import MomentumModel


@keras.saving.register_keras_serializable("keras_isd")
class BYOLModel(MomentumModel):
    """Learns image features without labels, by predicting the teacher's embedding.

    Unlike `ISDModel` it has no anchors and no queue. The student's embedding of the query predicts
    the teacher's embedding of the key, and the loss is their squared distance, `2 - 2 cos`. Only
    the predictor and the slow teacher prevent a collapse.

    The default is asymmetric, as in the ISD authors' code. BYOL's own form is `symmetric=True`, at
    nearly twice the cost; its loss here is the mean of the two directions, in BYOL their sum.

    Args:
        backbone, projector, predictor, teacher_momentum and others: see `MomentumModel`.

    Source: `BYOL` and `Regression` in the ISD authors' `train_byol.py`; section 3.1 of the paper.

    Example:

    >>> model = keras_isd.baselines.BYOLModel(
    ...     keras_isd.backbones.ConvNet((8, 8, 3), (16,)),
    ...     projector=keras_isd.heads.mlp(16, 32, 4, name="projector"),
    ...     predictor=keras_isd.heads.mlp(4, 32, 4, name="predictor"))
    >>> model.compile(keras_isd.optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-4))
    >>> views = {name: np.random.rand(16, 8, 8, 3) for name in ("query", "key")}
    >>> sorted(model.fit(views, batch_size=8, verbose=0).history)
    ['embedding_std', 'loss']
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=False):
        """Computes the squared distance of query and key, mean over the batch."""
        keys = self.repeat_keys(y_pred["key"])
        distance = ops.sum(ops.square(y_pred["query"] - keys), axis=-1)
        return self.mean_loss(distance, sample_weight)
