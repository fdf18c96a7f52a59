"""The gradient noise scale is that of the gradients, and what a larger batch gains follows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.controller.noise import NoiseScale, gain


@pytest.mark.parametrize("expected", [4.0, 40.0, 400.0])
def test_the_estimate_is_the_spread_over_the_signal(expected: float) -> None:
    """Gradients of images with a known mean and covariance: tr(S) / |G|^2 is `expected`."""
    random = np.random.default_rng(0)
    num_weights, batch_size = 4000, 64
    mean = random.normal(size=num_weights)
    deviations = random.uniform(0.5, 1.5, num_weights)
    deviations *= math.sqrt(expected * (mean @ mean) / (deviations @ deviations))
    noise = NoiseScale()
    for _ in range(60):
        halves = mean + random.normal(size=(2, num_weights)) * deviations / math.sqrt(32)
        whole = halves.mean(0)
        noise.measure(float(halves[0] @ halves[0]), float(whole @ whole), batch_size)
    assert noise.images == pytest.approx(expected, rel=0.1)
    assert noise.signal == pytest.approx(mean @ mean, rel=0.1)


def test_nothing_is_known_before_a_measurement_or_from_a_negative_one() -> None:
    noise = NoiseScale()
    assert noise.images is None
    noise.measure(1.0, 2.0, 8)  # halves that agree better than chance
    assert noise.images is None


def test_a_gradient_that_overflowed_is_not_counted() -> None:
    noise = NoiseScale()
    noise.measure(3.0, 2.0, 8)
    for broken in (math.inf, math.nan):
        noise.measure(broken, 2.0, 8)
        noise.measure(3.0, broken, 8)
    assert noise == NoiseScale(spread=8.0, signal=1.0, num_measured=1)


@given(st.floats(1e-3, 1e6), st.integers(1, 512), st.integers(1, 64))
def test_the_gain_lies_between_one_and_the_ratio_of_the_batches(
    noise: float, base: int, factor: int
) -> None:
    value = gain(noise, factor * base, base)
    assert 1 - 1e-9 <= value <= factor * (1 + 1e-9)
    assert gain(noise, (factor + 1) * base, base) >= value - 1e-9
    assert gain(2 * noise, factor * base, base) >= value - 1e-9


def test_the_limits_of_the_gain() -> None:
    assert gain(1e9, 256, 64) == pytest.approx(4, rel=1e-3)  # all noise: as good as four steps
    assert gain(1e-9, 256, 64) == pytest.approx(1)  # no noise: no better than one
    assert gain(100.0, 64, 64) == 1
    assert gain(1e9, 32, 64) == pytest.approx(0.5, rel=1e-3)
