"""Finds the part of the command that is asked for, reads its flags, and runs it."""

import importlib
import sys

from absl import flags, logging

# Each is a module of this folder, with `main(arguments)` and flags of its own.
PARTS = {
    "train": "learn features from a folder of images",
    "embed": "write the features of images to a table",
    "explore": "write a page to look through images",
    "evaluate": "say what features are worth, by images with labels",
    "export": "write the network for ONNX, Keras alone, LiteRT or TensorFlow",
    "neighbors": "find the images most alike",
    "duplicates": "find images that are nearly the same",
    "cluster": "put images into clusters",
    "select": "choose the images most worth a label",
    "outliers": "find images of another kind",
}
USAGE = "usage: keras-isd PART ARGUMENTS --FLAGS, see keras-isd PART --help\n\n" + "\n".join(
    f"  {name:<12}{what}" for name, what in PARTS.items()
)


def run(argv):
    """Runs a part of the command.

    Args:
        argv: list of str, of which the first is the command itself.

    Returns:
        int, the exit status: 0 where all went well, 1 where it failed, 2 where the arguments are
        wrong, 130 where it was interrupted.
    """
    if len(argv) < 2 or argv[1] in ("--help", "-h", "help"):
        print(USAGE)
        return 0 if len(argv) > 1 else 2
    name = argv[1]
    if name not in PARTS:
        return _failed(f"{name!r} is no part of keras-isd.\n{USAGE}", 2)
    part = importlib.import_module(f"keras_isd.command.{name}")
    if {"--help", "-h"} & set(argv[2:]):
        print(f"{part.__doc__}\nflags:\n{flags.FLAGS.module_help(part)}")
        return 0
    logging.set_verbosity(logging.WARNING)
    logging.use_absl_handler()
    logging.get_absl_handler().setFormatter(None)  # the sentence alone
    try:
        arguments = flags.FLAGS([f"keras-isd {name}", *argv[2:]])[1:]
        part.main(arguments)
    except flags.Error as error:
        return _failed(f"{error}\nSee keras-isd {name} --help", 2)
    except (ValueError, ImportError, OSError) as error:
        return _failed(f"keras-isd {name}: {error}", 1)
    except KeyboardInterrupt:
        return _failed("Interrupted. The same line goes on where this stopped.", 130)
    return 0


def one_argument(arguments, what):
    """The one argument of a part, or an error that says what it is to be."""
    if len(arguments) != 1:
        raise flags.Error(f"Give {what}. Received: {len(arguments)} arguments {arguments}")
    return arguments[0]


def _failed(message, status):
    print(message, file=sys.stderr)
    return status
