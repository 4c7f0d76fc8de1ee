"""Trains a small network from a large pretrained one: similarity distillation.

    keras-isd distill IMAGES --teacher=EfficientNetV2B0 --output=RUN
    keras-isd distill IMAGES --teacher=dinov2_small --output=RUN         # extra [hub]
    keras-isd distill IMAGES --teacher=teacher.keras --output=RUN
    keras-isd distill IMAGES --teacher_features=features.npy --output=RUN

The teacher sees each image once; its features are stored in RUN, and an interrupted computation
resumes. The teacher is a network of keras.applications, a preset of keras-hub, or a .keras file of
a model from images in [0, 255] to features. Features of any framework's network can be given as a
.npy file, a row an image in the order of the files' names. All else is as in keras-isd train.
"""

from keras_isd.command import train

add_arguments = train.add_arguments


def run(arguments):
    if not (arguments.teacher or arguments.teacher_features):
        arguments.fail("Give --teacher or --teacher_features. Received: neither")
    train.run(arguments)
