"""A progress bar for work outside of `fit`, where Keras does not resolve `verbose="auto"`.

A module of its own, because `data` and `evaluation` import it.
"""

import keras


def progress_bar(total, verbose):
    """Makes a `keras.utils.Progbar`.

    Args:
        total: int, the number of units; None if it is unknown.
        verbose: as for `keras.Model.fit`; `"auto"` means 1.
    """
    return keras.utils.Progbar(total, verbose=1 if verbose == "auto" else verbose)
