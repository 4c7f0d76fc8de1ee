"""A progress bar for work outside of `fit`, where Keras does not resolve `verbose="auto"`."""

import keras


def progress_bar(total, verbose):
    """A `keras.utils.Progbar` of so many units (None if not known), for `verbose` as in `fit`."""
    return keras.utils.Progbar(total, verbose=1 if verbose == "auto" else verbose)
