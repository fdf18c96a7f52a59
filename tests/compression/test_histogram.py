"""Counts do not depend on how values come in, and memory does not grow with them."""

import numpy as np
import pytest

from lowtide.compression.histogram import NUM_BINS, Histogram


def counted(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part.astype(np.float32))
    return histogram


def test_counts_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(0, 1, 10_000).astype(np.float32)
    histogram = counted(values)
    assert histogram.reach == 4.0
    expected, _ = np.histogram(values, NUM_BINS, (-4, 4))
    assert np.abs(histogram.counts - expected).sum() <= 4  # float32 rounding at an edge
    assert (histogram.low, histogram.high) == (values.min(), values.max())


@pytest.mark.parametrize("ascending", [True, False])
def test_batches_in_any_order_give_the_same_counts(ascending: bool) -> None:
    values = np.sort(np.random.default_rng(1).normal(0, 3, 4096))
    parts = np.split(values if ascending else values[::-1], 16)
    whole, cut = counted(values), counted(*parts)
    assert cut.reach == whole.reach
    assert np.array_equal(cut.counts, whole.counts)


def test_magnitudes_fold_both_sides() -> None:
    histogram = counted(np.array([-1.0, -0.5, 0.5, 0.75]))
    assert histogram.magnitudes.sum() == 4
    assert histogram.magnitudes[NUM_BINS // 4 - 1 : NUM_BINS // 4 + 1].sum() == 2  # both at 0.5


def test_zeros_alone_and_nan_show_in_the_extremes() -> None:
    assert (counted(np.zeros(8)).low, counted(np.zeros(8)).high) == (0.0, 0.0)
    assert np.isnan(counted(np.array([1.0, np.nan])).low)
    assert np.isnan(counted(np.array([np.inf]), np.array([1.0])).high)
