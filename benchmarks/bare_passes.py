"""Measures the bare passes of a model's networks: a lower bound of the cost of its training step.

    python benchmarks/bare_passes.py --run=runs/isd_cifar10.json

Student forward and backward, teacher forward, optimizer: no queue, no similarities, no views, and
no update of the teacher. The program measures them for a finished run of `experiments/cifar.py`,
with its model and batch size, on the device that it finds, and writes the images a second into the
run's `.json`, from which `experiments/cifar_table.py` takes them.
"""

import json
import pathlib

from absl import app, flags

if __name__ == "__main__":  # other benchmarks import this module
    RUN = flags.DEFINE_string("run", None, "File .json of the run, next to its model.")
    STEPS = flags.DEFINE_integer("steps", 20, "Steps to time.", 1)
    flags.mark_flag_as_required("run")


def bare_passes(model):
    """A model of the same networks whose step has only the student's and the teacher's passes."""
    import keras
    from keras import ops

    class BarePasses(keras.Model):
        def __init__(self):
            super().__init__()
            self.student = [model.student_backbone, model.projector, model.predictor]
            frozen = getattr(model, "teacher", None)
            self.teacher = [model.teacher_backbone, model.teacher_projector, frozen]
            self.built = True

        def call(self, inputs, training=False):
            query, key = inputs["query"], inputs["key"]
            for part in filter(None, self.student):
                query = part(query, training=training)
            for part in filter(None, self.teacher):
                key = part(key, training=training)
            return ops.sum(query * ops.stop_gradient(key), -1)

        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            return -ops.mean(y_pred)

    return BarePasses()


def images_per_second(model, batch_size, steps):
    """Speed of the bare passes of a trained model."""
    import numpy as np
    from step_setting import fit_seconds, random_views, to_device

    import keras_isd

    views = random_views(batch_size, *model.student_backbone.input_shape[1:])
    if model.teacher_backbone is None:  # the data contain its features
        views["key"] = np.random.rand(batch_size, model.embedding_dim).astype("float32")
    floor = bare_passes(model)
    floor.compile(keras_isd.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4))
    [seconds] = fit_seconds(floor, (to_device(views),), steps, together=True)
    return batch_size / seconds


def main(_):
    import keras

    import keras_isd  # noqa: F401 (registers its classes)
    from keras_isd.files import write_text

    path = pathlib.Path(RUN.value)
    run = json.loads(path.read_text())
    model = keras.models.load_model(path.with_suffix(".keras"))
    rate = images_per_second(model, run["settings"]["batch_size"], STEPS.value)
    write_text(path, json.dumps({**run, "bare_images_per_second": rate}, indent=1))
    print(f"bare passes of {path}: {rate:,.0f} images a second")


if __name__ == "__main__":
    app.run(main)
