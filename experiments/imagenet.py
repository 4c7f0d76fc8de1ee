"""Trains a configuration of ImageNet by `examples/imagenet.py`, whose flags it takes.

python experiments/imagenet.py --configuration=isd_imagenet_resnet50 --image_folder=DIR
"""

import pathlib
import sys

import configurations
from absl import app, flags

# Before this folder, which has a module of the same name.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))
import imagenet

CONFIGURATION = flags.DEFINE_enum(
    "configuration", None, configurations.names("examples/imagenet.py"), "Flags to set."
)
flags.adopt_module_key_flags(imagenet)


def main(arguments):
    configurations.apply(CONFIGURATION.value)
    imagenet.main(arguments)


if __name__ == "__main__":
    app.run(main)
