"""New images that lie apart from a reference, with shares worked out by hand."""

import numpy as np
import pytest

from keras_isd.evaluation import measure_drift

pytestmark = pytest.mark.one_backend("neighbours on every backend are tested in tests/similarity")


def on_circle(degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_the_share_of_images_beyond_the_threshold():
    # The nearest other image is a degree away, but for the last two of forty: 21 degrees.
    reference = on_circle(np.array([*range(39), 59]))
    found = measure_drift(on_circle([10.4, 50, 20.5, 90]), reference)
    assert found["threshold"] == pytest.approx(np.cos(np.deg2rad(1)), abs=1e-4)
    assert found["share"] == 0.5  # 9 and 31 degrees away
    assert found["interval"][0] < 0.5 < found["interval"][1]


@pytest.mark.parametrize(("shift", "has_drifted"), [(0, False), (3, True)])
def test_drift_is_reported_only_where_there_is_one(shift, has_drifted):
    random = np.random.RandomState(0)
    reference = random.randn(300, 6) + np.array([4, 0, 0, 0, 0, 0])
    new = random.randn(100, 6) + np.array([4, shift, shift, 0, 0, 0])
    assert measure_drift(new, reference)["has_drifted"] == has_drifted


def test_a_small_reference_is_refused():
    with pytest.raises(ValueError, match=r"`reference` must.*Received: 19"):
        measure_drift(np.eye(19), np.eye(19))
