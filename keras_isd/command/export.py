"""Writes the trained network in the form that another program takes.

    keras-isd export RUN --output=student.onnx     # ONNX, extra [onnx]
    keras-isd export RUN --output=student.keras    # Keras alone, without this package
    keras-isd export RUN --output=student.tflite   # LiteRT, on TensorFlow
    keras-isd export RUN --output=student          # a SavedModel, on TensorFlow

It takes views as `view.json` in RUN says: of that size, and normalised.
"""

import pathlib

import numpy as np
from absl import flags

from keras_isd import backbones, training
from keras_isd.command.main import one_argument

OUTPUT = flags.DEFINE_string("output", None, "File, or folder of a SavedModel.", required=True)
FORMATS = {".onnx": "onnx", ".tflite": "litert", "": "tf_saved_model"}


def main(arguments):
    model, _ = training.load_run(one_argument(arguments, "the folder of a run"))
    path = pathlib.Path(OUTPUT.value)
    plain = backbones.to_plain_keras(model.student_backbone)
    plain(np.zeros((1, *plain.input_shape[1:]), "float32"))  # ONNX takes what has been called
    if path.suffix == ".keras":
        plain.save(path)
    elif path.suffix in FORMATS:
        plain.export(path, format=FORMATS[path.suffix], verbose=False)
    else:
        raise ValueError(
            "--output must end in .keras, .onnx or .tflite, or be a folder. "
            f"Received: {OUTPUT.value}"
        )
    print(f"written to {path}: {plain.input_shape} to {plain.output_shape}")
