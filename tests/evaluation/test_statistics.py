"""Statistics of accuracy against published figures, exact sums, and what they are there for."""

import numpy as np
import pytest
from scipy.stats import binomtest

from lowtide.evaluation.statistics import (
    calibration_error,
    mcnemar_mid_p,
    mean_interval,
    paired_drop,
)


def answers(both: int, lost: int, won: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Named by reference and candidate, where all labels are 1."""
    reference = np.repeat([1, 1, 0, 0], [both, lost, won, neither])
    return reference, np.repeat([1, 0, 1, 0], [both, lost, won, neither])


@pytest.mark.parametrize(
    ("table", "drop", "low", "high"),
    [  # by Newcombe's method 10; where the two never differ: Wilson's bounds alone
        ((36, 12, 2, 0), 0.2, 0.0569, 0.3404),
        ((54, 0, 0, 0), 0.0, -0.0664, 0.0664),
    ],
)
def test_the_interval_of_a_paired_drop(
    table: tuple[int, int, int, int], drop: float, low: float, high: float
) -> None:
    reference, candidate = answers(*table)
    found = paired_drop(reference, candidate, np.ones(len(reference), int), 0.95)
    assert found.drop == pytest.approx(drop, abs=1e-4)
    assert found.low == pytest.approx(low, abs=2e-4)
    assert found.high == pytest.approx(high, abs=2e-4)
    assert (found.lost, found.won) == table[1:3]


def test_the_other_way_round_the_interval_is_mirrored() -> None:
    reference, candidate = answers(43, 2, 7, 8)
    labels = np.ones(len(reference), int)
    there = paired_drop(reference, candidate, labels, 0.9)
    back = paired_drop(candidate, reference, labels, 0.9)
    assert (there.drop, there.low, there.high) == pytest.approx((-back.drop, -back.high, -back.low))
    assert there.p_value == back.p_value


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """2,000 test sets of 300 images, from a table whose drop is 2 points."""
    random, labels = np.random.default_rng(0), np.ones(300, int)
    hits = 0
    for table in random.multinomial(300, [0.9, 0.05, 0.03, 0.02], 2000):
        found = paired_drop(*answers(*table), labels, 0.9)
        hits += found.low <= 0.02 <= found.high
    assert hits / 2000 == pytest.approx(0.9, abs=0.025)


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (1, 0), (3, 9), (9, 3), (6, 6), (40, 11)])
def test_mid_p_lies_half_a_term_below_the_exact_test(lost: int, won: int) -> None:
    value = mcnemar_mid_p(lost, won)
    assert 0 < value <= 1
    if lost + won == 0:
        assert value == 1
        return
    exact = binomtest(lost, lost + won).pvalue
    assert value < exact
    assert value == pytest.approx(mcnemar_mid_p(won, lost))


def test_the_bootstrap_agrees_with_the_normal_interval_and_repeats() -> None:
    values = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 5000, p=[0.04, 0.9, 0.06])
    low, high = mean_interval(values, 0.95)
    half = 1.96 * values.std() / 5000**0.5
    assert low == pytest.approx(values.mean() - half, abs=0.0008)
    assert high == pytest.approx(values.mean() + half, abs=0.0008)
    assert (low, high) == mean_interval(values, 0.95)
    assert mean_interval(np.zeros(9), 0.95) == (0.0, 0.0)


def test_calibration_error_is_the_gap_between_confidence_and_share_right() -> None:
    confidence = np.repeat([0.95, 0.55], [100, 100]).astype(np.float32)
    right = np.concatenate([np.arange(100) < 95, np.arange(100) < 35])
    assert calibration_error(confidence, right) == pytest.approx(0.1, abs=1e-6)
    assert calibration_error(np.ones(4, np.float32), np.ones(4, bool)) == 0
