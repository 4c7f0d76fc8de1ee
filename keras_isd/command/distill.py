"""Makes a small network of a large pretrained one, for your images: similarity distillation.

    keras-isd distill PHOTOS --teacher=EfficientNetV2B0 --output=RUN
    keras-isd distill PHOTOS --teacher=dinov2_small --output=RUN         # extra [hub]
    keras-isd distill PHOTOS --teacher=teacher.keras --output=RUN
    keras-isd distill PHOTOS --teacher_features=features.npy --output=RUN

The teacher sees each image once; its features are kept in RUN and gone on with where the run was
stopped. It is a network of keras.applications, a preset of keras-hub, a .keras file of a model from
images in [0, 255] to features, or one of any framework whose features lie in a .npy file, a row an
image in the order of the files' names. All else is as keras-isd train has it.
"""

from absl import flags

from keras_isd.command import train

flags.adopt_module_key_flags(train)


def main(arguments):
    if not train.has_teacher():
        raise flags.Error("Give --teacher or --teacher_features. Received: neither")
    train.main(arguments)
