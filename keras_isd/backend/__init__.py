"""All the code that differs by Keras backend, under one set of names.

- `GuardedTrainStep`: the training step as a method of a model.
- `overwrite_rows`: writes rows of a variable, in place where the backend can.
- `is_split`: whether the rows of a variable lie on several devices.
- `fused_batch_norm`: batch normalisation in one kernel, or None where XLA fuses it.
- `num_replicas`, `of_all_replicas`, `sum_over_replicas`: what the step knows of the other parts of
  its batch; `synchronize_batch_norm`, `check_compile`, `check_batch_sizes`: what follows for a
  model.
"""

import keras

if keras.backend.backend() == "jax":
    from keras_isd.backend.stateless import GuardedTrainStep, is_split
else:
    from keras_isd.backend.stateful import GuardedTrainStep, is_split

if keras.backend.backend() == "torch":
    from keras_isd.backend.torch import fused_batch_norm, overwrite_rows
else:
    from keras_isd.backend.xla import fused_batch_norm, overwrite_rows

if keras.backend.backend() == "tensorflow":
    from keras_isd.backend.replicas import (
        check_batch_sizes,
        check_compile,
        num_replicas,
        of_all_replicas,
        sum_over_replicas,
        synchronize_batch_norm,
    )
else:
    from keras_isd.backend.one_replica import (
        check_batch_sizes,
        check_compile,
        num_replicas,
        of_all_replicas,
        sum_over_replicas,
        synchronize_batch_norm,
    )

__all__ = [
    "GuardedTrainStep",
    "check_batch_sizes",
    "check_compile",
    "fused_batch_norm",
    "is_split",
    "num_replicas",
    "of_all_replicas",
    "overwrite_rows",
    "sum_over_replicas",
    "synchronize_batch_norm",
]
