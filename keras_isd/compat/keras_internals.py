"""Access to private attributes of Keras and PyTorch, each with its reason.

JAX's private attributes are in `keras_isd.backend.jax`. A subclass that overrides or reads a
private attribute of its own base class gives the reason there: `ValidatedModel`,
`BatchNormalization`, `SGD` and `AugmentationLayer`.
"""


def all_layers(model):
    """Lists every layer of a model: the model first, and each container before its layers.

    The public `layers` lists only the outermost ones, and layers that are not models lack it.
    """
    return model._flatten_layers()


def own_trainable_variables(layer):
    """Lists the layer's own variables that were created as trainable, even if it is frozen now.

    The public `trainable_variables` is empty for a frozen layer, and includes its sub-layers'.
    """
    return layer._trainable_variables


def base_optimizer(model):
    """Returns the model's optimizer without its wrapper for loss scaling; None before `compile`."""
    optimizer = getattr(model, "optimizer", None)
    return getattr(optimizer, "inner_optimizer", optimizer)


def batch_counter(optimizer):
    """Returns the variable that counts batches.

    The public `iterations` is divided by `gradient_accumulation_steps`, and so counts updates.
    """
    return optimizer._iterations


def optimized_variables(optimizer):
    """Lists the variables that an optimizer was built for; empty before `build`."""
    return getattr(optimizer, "_trainable_variables", [])


def epoch_loss(model):
    """Returns the sum of the epoch's losses so far, which is finite only if each loss was.

    The public `metrics` identifies it only by a name that a model may also give another metric.
    """
    return model._loss_tracker.total


def detach_workers(loader):
    """Removes a DataLoader copy's reference to the workers that the original may keep running.

    Those workers hold the original's functions, not the copy's.
    """
    loader._iterator = None
    return loader
