"""A progress bar for work outside of `fit`, where Keras does not resolve `verbose="auto"`.

A module of its own, because `data` and `evaluation` import it.
"""

import sys

import keras


def progress_bar(total, verbose):
    """Makes a `keras.utils.Progbar`.

    Args:
        total: int, the number of units; None if it is unknown.
        verbose: as for `keras.Model.fit`; `"auto"` means 1 in a terminal or a notebook, and 0 in a
            log, where a bar would be a line for each of its states.
    """
    if verbose == "auto":
        verbose = int(sys.stdout.isatty() or "ipykernel" in sys.modules)
    return keras.utils.Progbar(total, verbose=verbose)
