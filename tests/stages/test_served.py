"""The precision that a network would be served in, by what its files take and lose."""

import pytest

from lowtide.evaluation.technique import Measured
from lowtide.runtime.probe import Turns
from lowtide.stages.served import FLOAT, INT8, served_as


def measured(accuracy: float, energy_j: float) -> Measured:
    return Measured(accuracy, Turns([], [0.001] * 3, [energy_j] * 3))


PLAIN = measured(0.90, 1.0)


@pytest.mark.parametrize(
    ("int8", "roll_back", "expected"),
    [
        (measured(0.895, 0.5), True, INT8),
        (measured(0.895, 0.97), True, FLOAT),  # within what two measurements differ by
        (measured(0.85, 0.5), True, FLOAT),
        (measured(0.85, 0.5), False, INT8),
        (measured(0.895, 1.2), False, INT8),
    ],
)
def test_it_is_what_quantize_would_publish(int8: Measured, roll_back: bool, expected: str) -> None:
    assert served_as({FLOAT: PLAIN, INT8: int8}, 0.01, roll_back) == expected


def test_where_there_is_no_int8_it_is_float() -> None:
    assert served_as({FLOAT: PLAIN}, 0.01, roll_back=False) == FLOAT
