"""Files that are not on this machine, such as `gs://bucket/images/1.png`.

`gs://` is read by `etils.epath`, which takes TensorFlow's own client where that is installed; `s3://`
and all else that fsspec knows by fsspec, which names the package that a scheme takes. TensorFlow
Datasets brings both.
"""


def is_remote(path):
    """Whether a path, a str, has a scheme."""
    return "://" in path


def read_remote(path):
    """The contents of a file, as bytes.

    Raises:
        OSError: whatever the client's own error was.
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
    except Exception as error:  # of each client another
        raise OSError(str(error) or type(error).__name__) from error


def list_remote(folder):
    """Paths of all files in a folder and its folders, relative to it, but not hidden ones."""
    found = _list_gs(folder) if folder.startswith("gs://") else _list_fsspec(folder)
    for path in found:
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
