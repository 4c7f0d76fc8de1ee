"""Training steps to measure: settings and their models, seconds of steps, logical devices.

Keras is imported only inside functions, since `make_logical_devices` must come before it.
"""

import contextlib
import dataclasses
import os
import time

TEACHER_WIDTH = 1280  # of a teacher's features


@dataclasses.dataclass(frozen=True)
class Setting:
    """Network and sizes of a step.

    Attributes:
        recipe: name of our recipe.
        script: the authors' script with the same heads, or "".
        batch_size, queue_size, image_size: ints.
        frozen: None, or for distillation a teacher's "features", or the "network" itself.
        network: the recipe's network, by its name in PyTorch's libraries.
    """

    recipe: str
    script: str
    batch_size: int
    queue_size: int
    image_size: int
    frozen: str | None = None
    network: str = "resnet18"


def make_model(setting, **kwargs):
    """The model of a setting, not yet compiled."""
    import keras_isd

    shape = (setting.image_size, setting.image_size, 3)
    kwargs |= {"queue_size": setting.queue_size, "input_shape": shape}
    if setting.frozen is None:
        return keras_isd.ISDModel.from_recipe(setting.recipe, **kwargs)
    teacher = TEACHER_WIDTH
    if setting.frozen == "network":
        teacher = keras_isd.backbones.ResNet18(shape, "small")
    return keras_isd.DistillationModel.from_recipe(setting.recipe, teacher=teacher, **kwargs)


def random_views(*shape):
    """A batch of two views that are noise."""
    import numpy as np

    return {name: np.random.rand(*shape).astype("float32") for name in ("query", "key")}


def make_views(setting):
    """A batch of two views, or of one view and features, as NumPy arrays."""
    import numpy as np

    views = random_views(setting.batch_size, setting.image_size, setting.image_size, 3)
    if setting.frozen == "features":
        views["key"] = np.random.rand(setting.batch_size, TEACHER_WIDTH).astype("float32")
    return views


def repeat_batch(batch, count):
    """A data set that gives one batch `count` times."""
    import keras

    class Repeated(keras.utils.PyDataset):
        def __len__(self):
            return count

        def __getitem__(self, step):
            return batch

    return Repeated()


def to_device(batch):
    """The batch as tensors on the device, so that no step transfers it."""
    import keras

    return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def fit_seconds(model, batch, count, together=False):
    """Seconds of `count` steps on one batch inside `fit`.

    The first step, in which `fit` transfers the state, is not counted. With `together` no step
    waits for the loss of the previous one, as on a GPU in a real run, and the result is one number:
    their mean.
    """
    import keras

    seconds, start = [], None

    def begin(index, logs=None):
        nonlocal start
        start = time.perf_counter()

    def end(index, logs=None):
        float(logs["loss"])  # waits for the device
        seconds.append(time.perf_counter() - start)

    if together:
        clock = keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end)
    else:
        clock = keras.callbacks.LambdaCallback(on_train_batch_begin=begin, on_train_batch_end=end)
    batches = repeat_batch(batch, count if together else count + 1)
    epochs = 2 if together else 1
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[clock])
    return [seconds[1] / count] if together else seconds[1:]


def make_logical_devices(count):
    """Makes JAX list `count` devices on this machine; must come before any import of Keras."""
    if count > 1:
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count}"


def device_scope(count):
    """Context for making a model that splits each batch over `count` logical devices."""
    import keras

    if count == 1:
        return contextlib.nullcontext()
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
        return contextlib.nullcontext()
    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)]).scope()


def split_queue_scope():
    """Context for making a model on JAX whose queue is split over the devices."""
    import keras

    mesh = keras.distribution.DataParallel().device_mesh
    layouts = keras.distribution.LayoutMap(mesh)
    layouts["queue/embeddings$"] = ("batch", None)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    )
    return contextlib.nullcontext()
