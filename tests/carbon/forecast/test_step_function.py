"""Means over any interval, exact for steps, unknown where there is a gap."""

import numpy as np
import pytest

from lowtide.carbon.forecast.step_function import StepFunction

LEVELS = StepFunction(np.array([[0.0, 60], [60, 120], [180, 240]]), np.array([10.0, 20, 40]))


@pytest.mark.parametrize(
    ("start", "end", "mean"), [(0, 60, 10), (30, 90, 15), (0, 120, 15), (200, 240, 40)]
)
def test_means(start: float, end: float, mean: float) -> None:
    assert LEVELS.means(np.array([start]), np.array([end])) == pytest.approx([mean])


@pytest.mark.parametrize(("start", "end"), [(100, 200), (120, 180), (-60, 0), (230, 300)])
def test_a_gap_is_unknown(start: float, end: float) -> None:
    assert np.isnan(LEVELS.means(np.array([start]), np.array([end]))).all()


def test_columns_have_gaps_of_their_own() -> None:
    levels = np.array([[10.0, 1.0], [20.0, np.nan], [40.0, 3.0]])
    steps = StepFunction(np.array([[0.0, 60], [60, 120], [180, 240]]), levels)
    starts, ends = np.array([0.0, 60.0, 90.0]), np.array([120.0, 120.0, 210.0])
    half = steps.means(starts, ends, least=0.5)
    assert half[0].tolist() == [15.0, 1.0]  # half of the second is known
    assert half[1, 0] == 20.0
    assert np.isnan(half[1, 1])
    assert half[2, 0] == pytest.approx((20 * 30 + 40 * 30) / 60)
    assert np.isnan(half[2, 1])  # a quarter is known
    assert np.isnan(steps.means(starts, ends)[0, 1])
