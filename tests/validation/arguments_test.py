import math

import numpy as np
import pytest
from keras import ops

from keras_isd import optimizers
from keras_isd.validation.arguments import (
    check_bool,
    check_in_range,
    check_interval,
    check_positive,
    check_positive_integer,
)

pytestmark = pytest.mark.one_backend("arguments are Python values")


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (check_bool, [True, False], [0, 1, None, "True"]),
        (check_positive, [1, 0.1, np.float32(2), math.inf], [0, -1, math.nan, None, "1"]),
        (check_positive_integer, [1, np.int64(3)], [0, -1, 1.0, True, None, "1"]),
    ],
)
def test_checks_accept_valid_values_and_refuse_others(check, right, wrong):
    for value in right:
        check("name", value)
    for value in wrong:
        with pytest.raises(ValueError, match=r"^Argument `name` must be .* Received: name="):
            check("name", value)


def test_a_range_includes_its_ends_and_accepts_tensors():
    for value in (0, 1, 0.5, np.float32(1), ops.convert_to_tensor(1)):
        check_in_range("name", value, 0, 1)
    for value in (-0.1, 1.1, math.nan, None, "x", ops.convert_to_tensor(2)):
        with pytest.raises(ValueError, match=r"`name` must be in \[0, 1\]. Received: name="):
            check_in_range("name", value, 0, 1)
    with pytest.raises(ValueError, match=r"`name` must be at least 1\. Received: name=0"):
        check_in_range("name", 0, 1)


def test_an_interval_is_an_increasing_pair_within_its_limits():
    check_interval("name", (0.2, 1.0), 0, 1)
    for pair in ((1.0, 0.2), (-0.1, 1), (0, 2), (0.5,)):
        with pytest.raises(ValueError, match=r"`name` must .* \[0, 1\]\. Received: name=\("):
            check_interval("name", pair, 0, 1)


def test_the_number_of_steps_may_be_a_tensor_such_as_a_cardinality():
    schedule = optimizers.epoch_steps(0.01, (2,), ops.convert_to_tensor(10))
    assert schedule.steps_per_epoch == 10
    assert float(schedule(19)) == pytest.approx(0.01)
    assert float(schedule(20)) == pytest.approx(0.002)
