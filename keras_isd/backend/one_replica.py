"""Where one program sees the whole batch, on however many devices: JAX, and PyTorch on one."""

import keras

WORKER_LOST = ()


def count():
    return 1


def gather(x):
    return x


def total(x):
    return x


def check_batch_sizes(model, sizes):
    """Raises a ValueError for a batch that cannot be shared out equally to the devices of JAX."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return
    mesh = distribution.device_mesh
    devices = dict(zip(mesh.axis_names, mesh.shape)).get(distribution.batch_dim_name, 1)
    for size in sizes:
        if devices > 1 and (size is None or size % devices):
            raise ValueError(
                f"Every batch must be shared out equally to {devices} devices. Take a multiple of "
                "that for a batch and leave a smaller last one out, with `drop_remainder=True` of "
                "a dataset. Received: a batch of "
                + ("a size not known beforehand" if size is None else f"{size} images")
            )


def for_fit(logs):
    return logs


def writes_files(model):
    return True


def synchronize_batch_norm(model):
    """Nothing to do: statistics are of the whole batch."""


def check_compile(model, arguments):
    """Nothing to refuse."""
