"""How many floating-point operations the networks of a training step take."""

import math


def forward_flops(network):
    """Of one image's way through a Keras network: two for each product of a kernel.

    Convolutions and dense layers alone: normalisation, activations and pooling are a small part of
    the operations, though not of the time.
    """
    import keras

    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            total += forward_flops(layer)
        elif isinstance(layer, keras.layers.Conv2D):
            places = math.prod(layer.output.shape[1:-1])
            total += 2 * places * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += 2 * math.prod(layer.kernel.shape)
    return total


def step_flops(model):
    """Of one image in a step: the student forward and twice that backward, the teacher forward.

    What else there is to a step, views, similarities to the queue, the optimizer, counts as time
    and not as work.
    """
    student = [model.student_backbone, model.projector, model.predictor]
    teacher = [model.teacher_backbone, model.teacher_projector]
    once, thrice = (
        sum(forward_flops(part) for part in parts if part is not None)
        for parts in (teacher, student)
    )
    return once + 3 * thrice
