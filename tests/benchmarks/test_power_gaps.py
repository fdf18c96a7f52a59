"""The limit that a first run would choose is judged by what it really costs."""

import numpy as np
import pytest

from benchmarks.controller import power_gaps
from benchmarks.recurrences import Workload
from lowtide.controller.power import PowerPoint, Tradeoff

ENERGY = Tradeoff(1.0, 300)


def workload(*joules_per_epoch: float) -> Workload:
    """One limit for each figure."""
    points = [
        PowerPoint(100.0 * place, joules, 1.0) for place, joules in enumerate(joules_per_epoch, 1)
    ]
    return Workload(64, {64: points}, {64: np.array([10.0])}, {64: 10.0})


def test_limits_that_cost_about_the_same_are_mistaken_for_one_another() -> None:
    gaps = power_gaps(workload(100.0, 101.0, 200.0), ENERGY)
    assert sorted(set(gaps.round(6))) == [0.0, 0.01]  # never the one at twice the joules
    assert 0.2 < np.mean(gaps > 0) < 0.5


def test_limits_far_apart_are_told_apart() -> None:
    assert power_gaps(workload(100.0, 150.0), ENERGY).max() == 0.0


def test_the_same_profiles_are_drawn_each_time() -> None:
    work = workload(100.0, 102.0)
    assert power_gaps(work, ENERGY) == pytest.approx(power_gaps(work, ENERGY))
