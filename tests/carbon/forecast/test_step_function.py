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
