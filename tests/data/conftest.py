import keras
import pytest


def pytest_collection_modifyitems(items):
    """These tests are of TensorFlow's pipelines alone, the same under any backend.

    That they feed `fit` under each is a matter of `examples_test.py` and `fit_test.py`.
    """
    if keras.backend.backend() != "tensorflow":
        reason = "tf.data is the same under any backend: run once, under TensorFlow"
        for item in items:
            if "data" in item.path.parts[-2:-1]:
                item.add_marker(pytest.mark.skip(reason=reason))
