"""All the code that differs by Keras backend, under one set of names.

- `GuardedTrainStep`: the training step as a method of a model.
- `overwrite_rows`: writes rows of a variable, in place where the backend can.
- `is_split`: whether the rows of a variable lie on several devices.
- `fused_batch_norm`: batch normalisation in one kernel, or None where XLA fuses it.
- `replicas`: what the step knows of the other parts of its batch, and what a model must do about
  it.
"""

import keras

# First, since the training step asks for it here.
if keras.backend.backend() == "tensorflow":
    from keras_isd.backend import replicas
elif keras.backend.backend() == "jax":
    from keras_isd.backend import jax_devices as replicas
else:
    from keras_isd.backend import one_replica as replicas

if keras.backend.backend() == "jax":
    from keras_isd.backend.stateless import GuardedTrainStep, is_split
else:
    from keras_isd.backend.stateful import GuardedTrainStep, is_split

if keras.backend.backend() == "torch":
    from keras_isd.backend.torch import fused_batch_norm, overwrite_rows
else:
    from keras_isd.backend.xla import fused_batch_norm, overwrite_rows

__all__ = [
    "GuardedTrainStep",
    "fused_batch_norm",
    "is_split",
    "overwrite_rows",
    "replicas",
]
