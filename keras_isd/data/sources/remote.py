"""Reads and lists remote files, such as `gs://bucket/images/1.png`.

`etils.epath` reads `gs://`, with TensorFlow's client if TensorFlow is installed. fsspec reads
`s3://` and its other schemes, and its errors name the package that a scheme needs. Both are
dependencies of TensorFlow Datasets.
"""


def is_remote(path):
    """Whether a path (str) has a scheme."""
    return "://" in path


def read_remote(path):
    """Reads the contents of a file as bytes.

    Raises:
        OSError: if the client raises an error of any kind.
    """
    try:
        if path.startswith("gs://"):
            from etils import epath

            return epath.Path(path).read_bytes()
        import fsspec

        system, inside = fsspec.core.url_to_fs(path)
        return system.cat_file(inside)
    except ImportError:
        raise
    except Exception as error:  # each client has its own error classes
        raise OSError(str(error) or type(error).__name__) from error


def list_remote(folder):
    """Yields the paths of all files in a folder that are not hidden, relative to it."""
    paths = _list_gs(folder) if folder.startswith("gs://") else _list_fsspec(folder)
    for path in paths:
        if not any(part.startswith(".") for part in path.split("/")):
            yield path


def _list_gs(folder):
    from etils import epath

    waiting = [("", epath.Path(folder))]
    while waiting:
        inside, part = waiting.pop()
        for entry in part.iterdir():
            if entry.is_dir():
                waiting.append((f"{inside}{entry.name}/", entry))
            else:
                yield inside + entry.name


def _list_fsspec(folder):
    import fsspec

    system, inside = fsspec.core.url_to_fs(folder)
    inside = inside.rstrip("/")
    for path in system.find(inside):
        yield path.removeprefix(f"{inside}/")
