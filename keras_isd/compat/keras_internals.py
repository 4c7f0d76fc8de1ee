"""The private attributes of Keras and PyTorch that this package reads, each with its reason.

Those of JAX alone are in `keras_isd.backend.jax`. A subclass that overrides or reads a private
attribute of its own base gives the reason in place: `ValidatedModel`, `BatchNormalization`, `SGD`
and `AugmentationLayer`.
"""


def all_layers(model):
    """Every layer of a model, itself first, containers before what they contain.

    `layers` has the outermost alone, and layers that are not models have no such list.
    """
    return model._flatten_layers()


def made_trainable(layer):
    """The layer's own variables that were made to be trained, whether or not it is frozen now.

    `trainable_variables` is empty of a frozen layer, and holds those of its sub-layers too.
    """
    return layer._trainable_variables


def base_optimizer(model):
    """The optimizer that updates the model, within loss scaling; None before `compile`."""
    optimizer = getattr(model, "optimizer", None)
    return getattr(optimizer, "inner_optimizer", optimizer)


def batches_seen(optimizer):
    """The variable that counts batches.

    `iterations` is divided by `gradient_accumulation_steps`, and so counts updates.
    """
    return optimizer._iterations


def optimized_variables(optimizer):
    """The variables that an optimizer was built for; none before."""
    return getattr(optimizer, "_trainable_variables", [])


def epoch_loss(model):
    """The sum of the losses of the epoch's batches so far, finite as long as each of them is.

    `metrics` has it only behind a name that a model may use for another.
    """
    return model._loss_tracker.total


def without_workers(loader):
    """A copy of a PyTorch DataLoader, without the workers that the original may keep running.

    They have the original's functions.
    """
    loader._iterator = None
    return loader
