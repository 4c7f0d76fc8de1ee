"""How each method's PyTorch script writes a model: one table, for reading and for writing.

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
        queue_axis: along which axis of `queue` the embeddings lie: 0, each is a row; 1, each is a
            column; None, there is no queue.
        has_projector: True, False, or None where there may be one or not.
        keeps_labels: whether the queue's labels are in the file.
        parallel_parts: what the script runs in parallel, and so names `module.` in a state dict:
            parts of the model by their prefixes, or the whole where there are none.
        arguments: from an argument of the model to the script's names for it, of which the first is
            written.
        defaults: the script's own, where a file does not tell.
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


def method_of_model(model):
    """The method of a model, or None if there is no script of it."""
    for method in METHODS:
        if isinstance(model, method.model) and method.has_projector in (
            None,
            model.projector is not None,
        ):
            return method
    return None


def method_of_state(queue_shape, width, has_projector, settings):
    """The method that a state dict is of.

    Args:
        queue_shape: of `queue`, or None if there is none.
        width: int, D, of an embedding.
        has_projector: bool.
        settings: dict of the script's arguments, as far as they are known.

    Raises:
        ValueError: if the queue is of no method, or as well of one as of another.
    """
    fitting = [
        method
        for method in METHODS
        if _fits(method.queue_axis, queue_shape, width)
        and method.has_projector in (None, has_projector)
    ]
    if len(fitting) > 1:  # a queue of as many embeddings as they are wide
        fitting = [m for m in fitting if _names_of_it_alone(m, fitting) & set(settings)]
    if len(fitting) != 1:
        raise ValueError(
            f"`queue` of a checkpoint must be a matrix of embeddings {width} wide, which are its "
            "rows (ISD) or its columns (MoCo); where either could be, the arguments of the script "
            f"must tell. Received: queue of shape {queue_shape}"
        )
    return fitting[0]


def _fits(axis, queue_shape, width):
    if axis is None or queue_shape is None:
        return axis is None and queue_shape is None
    return len(queue_shape) == 2 and queue_shape[1 - axis] == width


def _names_of_it_alone(method, methods):
    """The script's arguments that no other of the methods has.

    MoCo's script too has a `momentum`, of its SGD.
    """
    own, others = (
        {name for m in group for names in m.arguments.values() for name in names}
        for group in ([method], [m for m in methods if m is not method])
    )
    return own - others - {"momentum"}


def arguments_of(method, settings):
    """The model's arguments that a script's are, those that it does not tell by its defaults."""
    found = dict(method.defaults)
    for argument, names in method.arguments.items():
        told = [settings[name] for name in names if name in settings]
        if told:
            found[argument] = told[0]
    return found


def settings_of(method, model):
    """The script's arguments that a model's are; a momentum that follows a schedule is not told."""
    values = {names[0]: getattr(model, argument) for argument, names in method.arguments.items()}
    return {name: float(value) for name, value in values.items() if not callable(value)}
