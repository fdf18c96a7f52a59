"""Multiples of channels are chosen by what the runtime takes for them."""

import pytest

from lowtide.compression.eligible import LEAST_MULTIPLE
from lowtide.compression.rounding import CHANNELS, TOLERANCE, choose_multiple, measure_rounding


def test_the_choice_is_no_slower_than_the_best_by_its_own_measurements() -> None:
    found = measure_rounding("cpu")
    assert found.multiple in CHANNELS
    assert found.seconds_per_mac is not None
    assert found.seconds_per_mac.keys() == {"float", "int8"}
    for seconds in found.seconds_per_mac.values():
        assert all(0 < each < 1e-6 for each in seconds.values())
        if found.multiple < max(CHANNELS):
            assert seconds[found.multiple] <= (1 + TOLERANCE) * min(seconds.values())


@pytest.mark.parametrize(
    ("floats", "int8", "expected"),
    [
        ((1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0), 4),
        ((1.3, 1.1, 1.0, 1.0), (1.05, 1.0, 1.0, 1.0), 8),
        ((1.3, 1.1, 1.0, 1.0), (1.4, 1.2, 1.0, 1.05), 16),
        ((1.0, 1.0, 1.0, 2.0), (2.0, 2.0, 2.0, 1.0), 32),  # they do not agree
    ],
)
def test_the_smallest_that_is_good_in_both_types(
    floats: tuple[float, ...], int8: tuple[float, ...], expected: int
) -> None:
    seconds = {
        "float": dict(zip(CHANNELS, floats, strict=True)),
        "int8": dict(zip(CHANNELS, int8, strict=True)),
    }
    assert choose_multiple(seconds) == expected


def test_the_least_multiple_is_the_one_that_is_asked_for_before_it_is_measured() -> None:
    assert min(CHANNELS) == LEAST_MULTIPLE
