"""All the code that differs by Keras backend, under one set of names.

- `GuardedTrainStep`: the training step as a method of a model.
- `overwrite_rows`: writes rows of a variable, in place where the backend can.
- `fused_batch_norm`: batch normalisation in one kernel, or None where XLA fuses it.
"""

import keras

if keras.backend.backend() == "jax":
    from keras_isd.backend.stateless import GuardedTrainStep
else:
    from keras_isd.backend.stateful import GuardedTrainStep

if keras.backend.backend() == "torch":
    from keras_isd.backend.torch import fused_batch_norm, overwrite_rows
else:
    from keras_isd.backend.xla import fused_batch_norm, overwrite_rows

__all__ = ["GuardedTrainStep", "fused_batch_norm", "overwrite_rows"]
