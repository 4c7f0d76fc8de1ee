"""Packages that only some functions need, each brought by an extra of this one."""

import contextlib


@contextlib.contextmanager
def needs_extra(extra):
    """Context of imports; where one fails the error says which extra brings the package."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(
            f"This needs the package {error.name}, which is not installed: "
            f'pip install "keras-isd[{extra}]"'
        ) from error
