"""The teacher beside its student: which parameter is whose, and what of it is trained."""

from keras_isd.keras_internals import all_layers, made_trainable


def pair_parameters(student, teacher):
    """Yields pairs of the parameters of a model and of its copy, moving statistics left out."""
    if student is None:
        return
    parameters = {id(v) for layer in all_layers(teacher) for v in made_trainable(layer)}
    for pair in zip(student.weights, teacher.weights, strict=True):
        if id(pair[1]) in parameters:
            yield pair


def match_freezing(student, teacher):
    """Freezes and thaws the layers of a copy as those of its original are by now."""
    if student is not None:
        # Containers come before what they contain, so the innermost setting stands.
        for one, other in zip(all_layers(student), all_layers(teacher), strict=True):
            other.trainable = one.trainable


def freeze(pairs):
    """Freezes the teacher's parameters, the second of each pair.

    Variable by variable: a layer that is frozen whole, if it is batch normalisation, would run on
    its moving statistics.
    """
    for _, variable in pairs:
        variable.trainable = False
