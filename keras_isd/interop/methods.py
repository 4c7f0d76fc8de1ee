"""The checkpoint format of each method's PyTorch script: one table, for reading and writing.

Sources: `train_isd_plus.py`, `train_isd_r18.py` and `train_byol.py` of ISD's authors;
`main_moco.py` and `moco/builder.py` of facebookresearch.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from keras_isd.baselines import BYOLModel, MoCoModel
from keras_isd.models import ISDModel


class Method(NamedTuple):
    """A method's class, its queue and the names of its arguments in a checkpoint.

    Attributes:
        model: class of the model.
        queue_axis: the axis of `queue` along which embeddings are numbered: 0 if they are rows, 1
            if they are columns; None without a queue.
        has_projector: True, False, or None if it is optional.
        keeps_labels: whether the queue's labels are in the file.
        parallel_parts: prefixes of the parts that the script wraps for parallel training, and so
            names `module.` in a state dict; empty if it wraps the whole model.
        arguments: from arguments of the model to the script's names for them; the first is written.
        defaults: the script's defaults, for files without arguments.
    """

    model: Any
    queue_axis: int | None
    has_projector: bool | None
    keeps_labels: bool
    parallel_parts: tuple[str, ...]
    arguments: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, float]


_PARTS = ("encoder_q", "encoder_k", "predict_q")
_ISD_ARGUMENTS = {
    "teacher_temperature": ("temp_t", "temp"),
    "student_temperature": ("temp_s", "temp"),
    "teacher_momentum": ("momentum",),
}

METHODS = (
    # train_isd_plus.py
    Method(
        model=ISDModel,
        queue_axis=0,
        has_projector=True,
        keeps_labels=True,
        parallel_parts=_PARTS,
        arguments=_ISD_ARGUMENTS,
        defaults={
            "teacher_temperature": 0.01,
            "student_temperature": 0.1,
            "teacher_momentum": 0.99,
        },
    ),
    # train_isd_r18.py
    Method(
        model=ISDModel,
        queue_axis=0,
        has_projector=False,
        keeps_labels=False,
        parallel_parts=_PARTS,
        arguments=_ISD_ARGUMENTS,
        defaults={
            "teacher_temperature": 0.02,
            "student_temperature": 0.02,
            "teacher_momentum": 0.999,
        },
    ),
    # main_moco.py and moco/builder.py
    Method(
        model=MoCoModel,
        queue_axis=1,
        has_projector=None,
        keeps_labels=False,
        parallel_parts=(),
        arguments={"temperature": ("moco_t",), "teacher_momentum": ("moco_m",)},
        defaults={"temperature": 0.2, "teacher_momentum": 0.999},
    ),
    # train_byol.py
    Method(
        model=BYOLModel,
        queue_axis=None,
        has_projector=None,
        keeps_labels=False,
        parallel_parts=_PARTS,
        arguments={"teacher_momentum": ("momentum",)},
        defaults={"teacher_momentum": 0.99},
    ),
)


def script_method(model):
    """The method of a model, or None if no script writes it."""
    for method in METHODS:
        if isinstance(model, method.model) and method.has_projector in (
            None,
            model.projector is not None,
        ):
            return method
    return None


def find_method(queue_shape, width, has_projector, settings):
    """Finds the method of a state dict.

    Args:
        queue_shape: shape of `queue`, or None without one.
        width: int, D, width of an embedding.
        has_projector: bool.
        settings: dict of the script's arguments, as far as they are known.

    Raises:
        ValueError: if no method fits the queue, or more than one.
    """
    fitting = [
        method
        for method in METHODS
        if _fits(method.queue_axis, queue_shape, width)
        and method.has_projector in (None, has_projector)
    ]
    if len(fitting) > 1:  # the queue is square
        fitting = [m for m in fitting if _distinctive_names(m, fitting) & set(settings)]
    if len(fitting) != 1:
        raise ValueError(
            f"`queue` of a checkpoint must have embeddings of width {width} as rows (ISD) or as "
            "columns (MoCo); for a square queue the script's arguments must show the method. "
            f"Received: queue of shape {queue_shape}"
        )
    return fitting[0]


def _fits(axis, queue_shape, width):
    if axis is None or queue_shape is None:
        return axis is None and queue_shape is None
    return len(queue_shape) == 2 and queue_shape[1 - axis] == width


def _distinctive_names(method, methods):
    """The script's arguments that no other method has.

    `momentum` is not one: MoCo's script has one for its SGD.
    """
    own, others = (
        {name for m in group for names in m.arguments.values() for name in names}
        for group in ([method], [m for m in methods if m is not method])
    )
    return own - others - {"momentum"}


def model_arguments(method, settings):
    """Converts a script's arguments, or its defaults, to arguments of the model."""
    found = dict(method.defaults)
    for argument, names in method.arguments.items():
        given = [settings[name] for name in names if name in settings]
        if given:
            found[argument] = given[0]
    return found


def script_arguments(method, model):
    """Converts a model's arguments to the script's; a momentum with a schedule is left out."""
    values = {names[0]: getattr(model, argument) for argument, names in method.arguments.items()}
    return {name: float(value) for name, value in values.items() if not callable(value)}
