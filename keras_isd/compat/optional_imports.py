"""Optional packages, each installed by an extra of this package.

A module of its own, because seven rooms import it.
"""

import contextlib


@contextlib.contextmanager
def needs_extra(extra):
    """Context for imports; if one fails, the error names the extra that installs the package."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(
            f"This needs the package {error.name}, which is not installed: "
            f'pip install "keras-isd[{extra}]"'
        ) from error
