"""Ratios by pairs of turns: what slows both of a pair down does not show."""

import pytest

from lowtide.runtime.probe import Turns
from lowtide.runtime.ratio import energy_ratio, latency_ratio, time_ratio


def turns(seconds: list[float], joules: list[float | None]) -> Turns:
    return Turns([2 * value for value in seconds], seconds, joules)


def test_drift_cancels() -> None:
    drift = [1.0, 2.0, 5.0, 3.0]
    slow, quick = turns([4 * d for d in drift], [6 * d for d in drift]), turns(drift, list(drift))
    for ratio, expected in (
        (time_ratio(slow, quick), 4), (latency_ratio(slow, quick), 4),
        (energy_ratio(slow, quick), 6), (energy_ratio(quick, slow), 1 / 6),
    ):  # fmt: skip
        assert ratio is not None
        assert (ratio.low, ratio.median, ratio.high) == pytest.approx((expected,) * 3)


def test_what_differs_between_pairs_is_the_spread() -> None:
    ratio = time_ratio(turns([1, 2, 3, 4, 5], [None] * 5), turns([1] * 5, [None] * 5))
    assert ratio.median == 3
    assert 1 < ratio.low < 2
    assert 4 < ratio.high < 5


@pytest.mark.parametrize("joules", [[1.0, None], [1.0, 0.0], [None, None]])
def test_without_all_joules_there_is_no_ratio(joules: list[float | None]) -> None:
    assert energy_ratio(turns([1, 1], [1.0, 1.0]), turns([1, 1], joules)) is None
