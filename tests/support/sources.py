"""Checks that hold for every source, whatever its images are stored in."""

import io
import multiprocessing
import pickle

import numpy as np
from PIL import Image


def encode(image, kind="PNG"):
    """The contents of an image file of an array."""
    contents = io.BytesIO()
    Image.fromarray(image).save(contents, kind)
    return contents.getvalue()


def check_reading(source, expected):
    """Checks a source's images, in turn and backwards, in a pipeline, in a copy and in a fork.

    Args:
        source: `keras_isd.data.ImageSource`.
        expected: list of arrays `(H, W, C)`.
    """
    assert len(source) == len(expected)
    for row in [*range(len(source)), *reversed(range(len(source)))]:
        np.testing.assert_array_equal(source[row], expected[row], err_msg=f"row {row}")
        assert source[row].dtype == expected[row].dtype == source.dtype
    for image, other in zip(source.without_labels().dataset(), expected, strict=True):
        np.testing.assert_array_equal(image.numpy(), other)
    rows = [len(source) - 1, 0]
    copy = pickle.loads(pickle.dumps(source.subset(rows)))
    assert [copy.names[0], copy.names[1]] == [source.names[row] for row in rows]
    for image, row in zip(copy, rows, strict=True):
        np.testing.assert_array_equal(image, expected[row])
    if "fork" in multiprocessing.get_all_start_methods():
        assert read_in_forks(source) == [image.tobytes() for image in expected]


def read_in_forks(source):
    """The bytes of all images, read by two processes that share the parent's open files."""
    forks = multiprocessing.get_context("fork")
    queues = [forks.Queue(), forks.Queue()]

    def read(start):
        queues[start].put([source[row].tobytes() for row in range(start, len(source), 2)])

    processes = [forks.Process(target=read, args=(start,)) for start in (0, 1)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=60) for queue in queues]
    for process in processes:
        process.join()
    return [found[row % 2][row // 2] for row in range(len(source))]
