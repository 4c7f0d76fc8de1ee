"""Parses the command line and runs the subcommand."""

import argparse
import importlib
import os
import re
import sys
import time
import traceback

import keras_isd_start
from keras_isd.version import __version__

COMMANDS = (
    "train",
    "distill",
    "embed",
    "explore",
    "evaluate",
    "finetune",
    "export",
    "plot",
    "compare",
    "neighbors",
    "duplicates",
    "leaks",
    "cluster",
    "select",
    "outliers",
)
RESUMABLE = ("train", "distill", "embed")


def main(argv=None):
    """Runs the command line.

    Args:
        argv: list of str, the arguments without the command's name. Defaults to those of this
            process.

    Returns:
        int, the exit status: 0 for success, 1 for failure, 2 for wrong arguments, 130 after an
        interrupt.
    """
    started = time.monotonic()
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as end:  # of argparse, which has printed the reason
        return end.code
    arguments.started = started  # a time limit includes the import of Keras
    try:
        keras_isd_start.load_package()
        arguments.run(arguments)
    except SystemExit as end:  # of `arguments.fail`
        return end.code
    except KeyboardInterrupt:
        resumable = " Run the same command again to resume." * (arguments.command in RESUMABLE)
        print(f"Interrupted.{resumable}", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("KERAS_ISD_DEBUG") == "1":
            traceback.print_exc()
        print(f"keras-isd {arguments.command}: {describe_error(error, arguments)}", file=sys.stderr)
        return 1
    return 0


def describe_error(error, arguments):
    """The message of an error, with the names of flags instead of those of Python's arguments.

    Errors other than those that report wrong arguments and files are unexpected: their class is
    named, because the message alone may be empty.
    """

    def flag(match):
        if match[1] == "images":
            return "IMAGES"
        return f"--{match[1]}" if hasattr(arguments, match[1]) else match[0]

    if not isinstance(error, (ValueError, ImportError, OSError)):
        kind = "not enough memory" if isinstance(error, MemoryError) else type(error).__name__
        line = f"{error}".partition("\n")[0]
        images = getattr(arguments, "images", None) or ""
        where = f", with {images}" if images else ""
        return f"{kind}{': ' * bool(line)}{line}{where}; KERAS_ISD_DEBUG=1 prints the trace"
    text = re.sub(r"`(\w+)`", flag, f"{error}")
    return re.sub(r"\bArguments? (?=--|IMAGES)", "", text)


def make_parser():
    """The `argparse.ArgumentParser` of all subcommands."""
    parser = argparse.ArgumentParser(
        "keras-isd",
        description="Self-supervised image features: from a folder of images to answers.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"keras-isd {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"keras_isd.command.{name}")
        subparser = subparsers.add_parser(
            name,
            help=f"{module.__doc__}".splitlines()[0],
            description=module.__doc__,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run, fail=subparser.error)
    return parser


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the lines of a description, and adds defaults other than None to the help texts."""

    def _get_help_string(self, action):
        if action.default is None or isinstance(action.default, bool) or action.required:
            return action.help
        return super()._get_help_string(action)


if __name__ == "__main__":
    sys.exit(main())
