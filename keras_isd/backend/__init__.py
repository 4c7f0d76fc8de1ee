"""All the code that differs by Keras backend: one file a backend, one set of names.

The training step:

- `guarded_step(model, update_teacher, step, *state, batch)`: moves the teacher, then takes Keras'
  own step; where the loss is not finite, nothing of `model.guarded_variables()` remains of either.
- `reducible_logs(logs)`: a step's logs in a form of which Keras can make the mean over replicas; on
  JAX, where the state comes with them, both as they are.
- `values_kept(model)`: context of a loop of Keras, after which every variable has a value.

Variables:

- `overwrite_rows(variable, rows, values)`: writes rows, in place where the backend can.
- `is_sharded(variable)`: whether its rows lie on several devices, so that each has but a part.
- `to_numpy(variable)`: its whole value, of which each process may hold a part.
- `convolve(layer, inputs, kernel)`: a convolution, channels last, without the copies that Keras
  makes; None where it makes none.
- `max_pool(layer, inputs)`: max-pooling, likewise.
- `fused_batch_norm(layer, inputs, training)`: batch normalisation in one kernel; None where the
  compiler fuses what `keras.ops` does.

The machine:

- `has_accelerator()`: whether there is a GPU or a TPU.

The devices that share a batch:

- `replica_count()`: on how many replicas this step runs at once; 1 outside a step, but on PyTorch,
  whose processes are always together.
- `all_gather(x)`: the rows of every replica, in their order, the same on each.
- `all_sum(x)`: the sum of every replica's `x`, the same on each.
- `batch_offset(x)`: the place of this replica's first row in the rows of all, and their number.
- `from_share(loss)`: what Keras is to take as the loss, of a replica's share of that of the whole
  batch: the share where it adds the replicas' gradients up, as many times it as there are replicas
  where it takes their mean.
- `predict_on_batch(model, x)`: what a network gives for a batch, in this process alone.
- `synchronize_batch_norm(model)`: lets batch normalisation use the statistics of the whole batch.
- `is_chief(model)`: whether this process is the one, of several, that writes files.
- `is_one_of_several(model)`: whether this process trains together with others.
- `is_worker_lost(model, error)`: whether an error means that another process has gone.
- `check_compile(model, arguments)`: raises a ValueError for what Keras cannot do on these devices.
- `check_batch_sizes(model, sizes)`: raises a ValueError for batches, of sizes `sizes()`, that
  cannot be shared out to all of them.
"""

import keras

if keras.backend.backend() == "tensorflow":
    from keras_isd.backend.tensorflow import *
elif keras.backend.backend() == "jax":
    from keras_isd.backend.jax import *
else:
    from keras_isd.backend.torch import *

__all__ = [
    "all_gather",
    "all_sum",
    "batch_offset",
    "check_batch_sizes",
    "check_compile",
    "convolve",
    "from_share",
    "fused_batch_norm",
    "guarded_step",
    "has_accelerator",
    "is_chief",
    "is_one_of_several",
    "is_sharded",
    "is_worker_lost",
    "max_pool",
    "overwrite_rows",
    "predict_on_batch",
    "reducible_logs",
    "replica_count",
    "synchronize_batch_norm",
    "to_numpy",
    "values_kept",
]
