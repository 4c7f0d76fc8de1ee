"""SGD that equals PyTorch's."""

import keras
from keras import ops

from keras_isd.compat.float32 import in_float32


@keras.saving.register_keras_serializable("keras_isd")
class SGD(keras.optimizers.SGD):
    """Stochastic gradient descent with coupled weight decay, as in PyTorch.

    The weight decay is added to the gradient, so that momentum accumulates it:
    `velocity = momentum * velocity + (gradient + weight_decay * weight)` and
    `weight -= learning_rate * velocity`.

    Keras' own `SGD` differs in two ways. Its weight decay is decoupled (it shrinks the
    weights separately from the update, and with momentum 0.9 has about a tenth of the
    effect), and its velocity includes the learning rates of past steps, so the two
    diverge when the rate changes.

    Clipping and gradient accumulation come before the decay is added, as in
    PyTorch. `exclude_from_weight_decay` is respected.

    Args:
        learning_rate: float, or a schedule. Defaults to 0.01.
        momentum: float in `[0, 1]`. Defaults to 0.
        nesterov: bool. Defaults to False.
        weight_decay: float or None, added to the gradient of every variable, biases
            and batch normalisation included, as in the authors' code. Defaults to None.
        **kwargs: see `keras.optimizers.SGD`.

    Source: `torch.optim.SGD`.

    Example:

    >>> weight = keras.Variable([1.0])
    >>> keras_isd.optimizers.SGD(0.1, weight_decay=0.5).apply([keras.ops.ones(1)], [weight])
    >>> keras.ops.convert_to_numpy(weight)  # 1 - 0.1 * (1 + 0.5 * 1)
    array([0.85], dtype=float32)
    """

    __init__ = in_float32(keras.optimizers.SGD.__init__)  # creates the learning rate's variable

    # Keras calls or provides these without a public name: the update, a variable's index, and the
    # choice of variables that decay.

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        if self.weight_decay and self._use_weight_decay(variable):
            gradient = gradient + ops.cast(self.weight_decay, variable.dtype) * variable
        if self.momentum:
            momentum = ops.cast(self.momentum, variable.dtype)
            velocity = self.momentums[self._get_variable_index(variable)]
            self.assign(velocity, momentum * velocity + gradient)
            gradient = gradient + momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, learning_rate * gradient)

    def _apply_weight_decay(self, variables):
        pass  # Keras' decoupled decay; here the decay is part of the gradient
