"""All the code that differs by Keras backend: one file a backend, one set of names.

The training step:

- `guarded_step(model, update_teacher, step, *state, batch)`: moves the teacher, then runs Keras'
  own step; if the loss is not finite, `model.guarded_variables()` keep the values from before the
  step.
- `reducible_logs(logs)`: a step's logs in a form that Keras can average over replicas; on JAX logs
  and state unchanged.
- `values_kept(model)`: context of a Keras loop, after which every variable has a value.

Variables:

- `overwrite_rows(variable, rows, values)`: writes rows, in place where the backend can.
- `is_sharded(variable)`: whether its rows are split over several devices.
- `to_numpy(variable)`: its whole value, also if each process holds a part.
- `convolve(layer, inputs, kernel)`: a channels-last convolution without the copies that Keras
  makes; None if Keras makes no copies.
- `max_pool(layer, inputs)`: max-pooling, likewise.
- `fused_batch_norm(layer, inputs, training)`: batch normalisation in one kernel; None if the
  compiler fuses the operations of `keras.ops`.

The machine:

- `has_accelerator()`: whether there is a GPU or a TPU.

The devices that share a batch:

- `replica_count()`: the number of replicas that run this step; 1 outside a step, except on PyTorch,
  whose processes always run together.
- `all_gather(x)`: the rows of every replica, in the replicas' order, the same on each.
- `all_sum(x)`: the sum of every replica's `x`, the same on each.
- `batch_offset(x)`: the position of this replica's first row among all rows, and their number.
- `from_share(loss)`: the loss to return to Keras, given a replica's share of the whole batch's
  loss: the share if Keras sums the replicas' gradients, the share times their number if it averages
  them.
- `predict_on_batch(model, x)`: a network's output for a batch, computed in this process alone.
- `synchronize_batch_norm(model)`: makes batch normalisation use the statistics of the whole batch.
- `is_chief(model)`: whether this is the process that writes files.
- `is_one_of_several(model)`: whether this process trains together with others.
- `is_worker_lost(model, error)`: whether an error means that another process was lost.
- `check_compile(model, arguments)`: raises a ValueError for options that Keras does not support on
  these devices.
- `check_batch_sizes(model, sizes)`: raises a ValueError for batches, of sizes `sizes()`, that
  cannot be split among all devices.
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
