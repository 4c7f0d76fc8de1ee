"""Exports a trained network for other programs.

    keras-isd export RUN --output=student.onnx     # ONNX, extra [onnx]
    keras-isd export RUN --output=student.keras    # Keras alone, without this package
    keras-isd export RUN --output=student.tflite   # LiteRT, on TensorFlow
    keras-isd export RUN --output=student          # a SavedModel, on TensorFlow

    keras-isd export RUN --output=student.onnx --include_view   # takes pixels

RUN is the folder of a run, whose student is exported, or of a classifier of keras-isd finetune. The
network takes the views that `view.json` in the folder describes: their size and normalisation. With
`--include_view` it takes the pixels of square images of that size as they are stored, and
normalises them itself.
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

    parser.add_argument(
        "--include_view", action="store_true", help="normalise pixels within the network"
    )


def run(arguments):
    import keras

    output, classifier = pathlib.Path(arguments.output), _classifier(arguments.folder)
    network = classifier or keras_isd.training.load_run(arguments.folder)[0].student_backbone
    plain = keras_isd.backbones.to_plain_keras(network)
    view = _view(arguments.folder) if arguments.include_view else None
    if output.suffix == ".keras":
        with keras_isd.files.atomic_path(output) as unfinished:
            (plain if view is None else _functional(plain, view)).save(unfinished)
    elif output.suffix in FORMATS:
        whole = plain if view is None else _subclassed(plain, view)
        whole(np.zeros((1, *plain.input_shape[1:]), "float32"))  # the ONNX export needs a call
        signature = [keras.InputSpec(shape=plain.input_shape, dtype="float32")]
        whole.export(
            output,
            format=FORMATS[output.suffix],
            verbose=False,
            input_signature=None if view is None else signature,
        )
    else:
        raise ValueError(
            "--output must end in .keras, .onnx or .tflite, or be a folder. "
            f"Received: {arguments.output}"
        )
    print(f"written to {output}: {plain.input_shape} to {plain.output_shape}")


def _view(folder):
    """The operations of the view but the crop."""
    size, statistics = keras_isd.training.run_folder.read_statistics(folder)
    view = keras_isd.augmentation.evaluation(size, statistics)
    return [operation for operation in view.operations if operation is not view.crop]


def _functional(network, view):
    """The network on pixels, in Keras' own operations, which a file keeps."""
    import keras

    pixels = keras.Input(network.input_shape[1:], name="pixels")
    return keras.Model(pixels, network(_apply(view, pixels)), name=network.name)


def _subclassed(network, view):
    """The network on pixels, traced as a whole: tf2onnx makes constants of layers to inputs."""
    import keras

    class Pixels(keras.Model):
        def __init__(self):
            super().__init__(name=network.name)
            self.network = network

        def call(self, pixels):
            return self.network(_apply(view, pixels))

    return Pixels()


def _apply(view, pixels):
    from keras import ops

    for operation in view:
        pixels = operation.apply(ops, pixels)
    return pixels


def _classifier(folder):
    """The model of `keras-isd finetune` in a folder, or None."""
    file = pathlib.Path(folder, "classifier.keras")
    if not file.is_file():
        return None
    import keras

    return keras.models.load_model(file)
