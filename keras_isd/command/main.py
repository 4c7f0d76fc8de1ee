"""Finds the part of the command that is asked for, reads its flags, and runs it."""

import importlib
import os
import re
import sys

from absl import flags, logging

# Each is a module of this folder, with `main(arguments)` and flags of its own.
PARTS = {
    "train": "learn features from a folder of images",
    "distill": "make a small network of a large pretrained one",
    "embed": "write the features of images to a table",
    "explore": "write a page to look through images",
    "evaluate": "say what features are worth, by images with labels",
    "finetune": "train a classifier from images with labels",
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
        print(f"{part.__doc__}\nflags:\n{_help(part)}")
        return 0
    logging.set_verbosity(logging.WARNING)
    logging.use_absl_handler()
    logging.get_absl_handler().setFormatter(None)  # the sentence alone
    try:
        # After `--output=` a shell leaves `~` as it is.
        given = [re.sub(r"^(--\w+=)~(?=/|$)", _home, argument) for argument in argv[2:]]
        arguments = flags.FLAGS([f"keras-isd {name}", *given])[1:]
        part.main(arguments)
    except flags.Error as error:
        return _failed(f"{error}\nSee keras-isd {name} --help", 2)
    except (ValueError, ImportError, OSError) as error:
        return _failed(f"keras-isd {name}: {error}", 1)
    except KeyboardInterrupt:
        goes_on = " The same line goes on where this stopped." * (
            name in ("train", "distill", "embed")
        )
        return _failed(f"Interrupted.{goes_on}", 130)
    return 0


def one_argument(arguments, what):
    """The one argument of a part, or an error that says what it is to be."""
    if len(arguments) != 1:
        raise flags.Error(f"Give {what}. Received: {len(arguments)} arguments {arguments}")
    return arguments[0]


def _help(part):
    """The flags of a part, those too that it has in common with others."""
    lines = []
    for flag in flags.FLAGS.get_key_flags_for_module(part):
        values = getattr(flag.parser, "enum_values", None)
        choices = f" One of {', '.join(values)}." if values else ""
        default = "" if flag.default is None else f" By default {flag.default}."
        lines.append(f"  --{flag.name:<18}{flag.help}{choices}{default}")
    return "\n".join(sorted(lines))


def _home(match):
    return match[1] + os.path.expanduser("~")


def _failed(message, status):
    print(message, file=sys.stderr)
    return status
