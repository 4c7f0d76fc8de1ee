"""Trains the golden model on several devices in a separate process, for tests that compare runs.

`python -m tests.support.replicas_script OUT.npz --devices N [--split_queue]` uses logical CPUs: a
MirroredStrategy on TensorFlow, and on JAX a DataParallel distribution or one that splits the queue.
PyTorch has only workers, processes with one device each.
"""

import argparse
import contextlib
import json
import os

import keras
import numpy as np

import keras_isd
from keras_isd import backend
from tests.support import golden


def tensorflow_scope(devices, workers=(), worker=None):
    import tensorflow as tf

    if worker is not None:
        task = {"type": "worker", "index": worker}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})
        return tf.distribute.MultiWorkerMirroredStrategy().scope()
    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * devices
    )
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)]).scope()


def jax_scope(devices, split_queue, workers=(), worker=None):
    import jax

    own = devices // max(len(workers), 1)
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={own}"
    if worker is not None:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize(workers[0], len(workers), worker)
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    if split_queue:
        layouts = keras.distribution.LayoutMap(distribution.device_mesh)
        layouts["queue/embeddings$"] = ("batch", None)
        distribution = keras.distribution.ModelParallel(
            layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
        )
    return distribution.scope()


def torch_scope(workers, worker):
    os.environ |= {"WORLD_SIZE": str(len(workers)), "RANK": str(worker)}
    keras.distribution.initialize(workers[0], len(workers), worker)
    return keras.distribution.DataParallel(auto_shard_dataset=False).scope()


class PartOfEachBatch(keras.utils.PyDataset):
    """A worker's share of every batch, in the order of the workers."""

    def __init__(self, views, labels, batch_size, workers, worker):
        super().__init__()
        self.data, self.batch_size, self.share = (views, labels), batch_size, (workers, worker)

    def __len__(self):
        return -(-len(self.data[1]) // self.batch_size)

    def __getitem__(self, step):
        def own(x):
            batch = x[step * self.batch_size :][: self.batch_size]
            return np.array_split(batch, self.share[0])[self.share[1]]

        return keras.tree.map_structure(own, self.data)


def copies(variable):
    """The value of a variable on each device; the whole value, once, if it is split."""
    if keras.backend.backend() == "torch":
        return [backend.to_numpy(variable)]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        strategy = tf.distribute.get_strategy()
        return [value.numpy() for value in strategy.experimental_local_results(variable.value)]
    shards = variable.value.addressable_shards
    if variable.value.is_fully_replicated:
        return [np.asarray(shard.data) for shard in shards]
    assert len({shard.data.shape for shard in shards}) == 1
    assert shards[0].data.shape[0] == variable.shape[0] // len(variable.value.sharding.device_set)
    return [backend.to_numpy(variable)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--model", default="isd_r18", help="name in `golden.golden_model`")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--split_queue", action="store_true")
    parser.add_argument("--workers", nargs="*", default=[], help="addresses")
    parser.add_argument("--worker", type=int, help="which of them this process is")
    parser.add_argument("--resume", help="folder of checkpoints")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--queue_size", type=int, default=64)
    arguments = parser.parse_args()
    backend_name = keras.backend.backend()
    scope = contextlib.nullcontext()
    if arguments.worker is not None and backend_name == "torch":
        scope = torch_scope(arguments.workers, arguments.worker)
    elif arguments.devices > 1 and backend_name == "jax":
        scope = jax_scope(
            arguments.devices, arguments.split_queue, arguments.workers, arguments.worker
        )
    elif arguments.devices > 1:
        scope = tensorflow_scope(arguments.devices, arguments.workers, arguments.worker)

    views, labels = golden.Trajectory("isd_r18").flat_views()
    whole = [(views["query"][:16], labels[:16])]
    if arguments.model == "several":
        views = golden.several_views(views)
    views = {name: images[: arguments.images] for name, images in views.items()}
    data = {
        "x": views,
        "y": labels[: arguments.images],
        "batch_size": arguments.batch_size,
        "shuffle": False,
    }
    validation = {name: images[:16] for name, images in views.items()}, data["y"][:16]
    if arguments.worker is not None and backend_name != "tensorflow":
        place = len(arguments.workers), arguments.worker
        batches = PartOfEachBatch(views, data["y"], arguments.batch_size, *place)
        data = {"x": batches, "shuffle": False}
    losses = []
    batch_loss = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: losses.append(logs["loss"])
    )
    resume = [keras_isd.callbacks.Resume(arguments.resume)] if arguments.resume else []
    watching = [
        keras_isd.callbacks.HealthMonitor(),
        keras_isd.callbacks.KNNEvaluation(whole, whole, k=3),
    ]
    with scope:
        model = golden.golden_model(
            arguments.model, queue_size=arguments.queue_size, synchronized_batch_norm=True
        )
        history = model.fit(
            **data,
            validation_data=validation,
            validation_batch_size=arguments.batch_size,
            verbose=0,
            epochs=arguments.epochs,
            initial_epoch=resume[0].initial_epoch if resume else 0,
            callbacks=[batch_loss, *watching, *resume],
        ).history
        state = {
            f"{part}/{v.path}/{device}": value
            for part in ("queue", "teacher_backbone", "student_backbone", "predictor")
            if getattr(model, part) is not None
            for v in getattr(model, part).variables
            for device, value in enumerate(copies(v))
        }
    logs = {f"logs/{name}": values for name, values in history.items()}
    np.savez(arguments.out, losses=losses, **logs, **state)


if __name__ == "__main__":
    main()
