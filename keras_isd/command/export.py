"""Exports a trained network for other programs.

    keras-isd export RUN --output=student.onnx     # ONNX, extra [onnx]
    keras-isd export RUN --output=student.keras    # Keras alone, without this package
    keras-isd export RUN --output=student.tflite   # LiteRT, on TensorFlow
    keras-isd export RUN --output=student          # a SavedModel, on TensorFlow

RUN is the folder of a run, whose student is exported, or of a classifier of keras-isd finetune. The
network takes the views that `view.json` in the folder describes: their size and normalisation.
"""

import pathlib

import numpy as np

import keras_isd
from keras_isd.command.values import path

FORMATS = {".onnx": "onnx", ".tflite": "litert", "": "tf_saved_model"}


def add_arguments(parser):
    parser.add_argument("folder", type=path, metavar="RUN", help="folder of a run or a classifier")
    parser.add_argument(
        "--output", type=path, required=True, help=".onnx, .keras, .tflite, or a folder"
    )


def run(arguments):
    output, classifier = pathlib.Path(arguments.output), _classifier(arguments.folder)
    network = classifier or keras_isd.training.load_run(arguments.folder)[0].student_backbone
    plain = keras_isd.backbones.to_plain_keras(network)
    plain(np.zeros((1, *plain.input_shape[1:]), "float32"))  # the ONNX export needs a called model
    if output.suffix == ".keras":
        plain.save(output)
    elif output.suffix in FORMATS:
        plain.export(output, format=FORMATS[output.suffix], verbose=False)
    else:
        raise ValueError(
            "--output must end in .keras, .onnx or .tflite, or be a folder. "
            f"Received: {arguments.output}"
        )
    print(f"written to {output}: {plain.input_shape} to {plain.output_shape}")


def _classifier(folder):
    """The model of `keras-isd finetune` in a folder, or None."""
    file = pathlib.Path(folder, "classifier.keras")
    if not file.is_file():
        return None
    import keras

    return keras.models.load_model(file)
