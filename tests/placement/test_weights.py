"""Whole weights add up and are as near to the shares as whole numbers can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.placement.weights import WHOLE, whole_weights


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(lambda one: sum(one) > 0.01))
def test_weights_add_up_and_none_is_off_by_one(parts: list[float]) -> None:
    shares = [part / sum(parts) for part in parts]
    weights = whole_weights(shares)
    assert sum(weights) == WHOLE
    assert all(
        abs(weight - share * WHOLE) < 1 for weight, share in zip(weights, shares, strict=True)
    )
    assert all(weight == 0 for weight, share in zip(weights, shares, strict=True) if share == 0)


@pytest.mark.parametrize(
    ("shares", "weights"),
    [([1 / 3, 1 / 3, 1 / 3], [4, 3, 3]), ([0.55, 0.45], [6, 4]), ([1.0, 0.0], [10, 0])],
)
def test_the_largest_remainder_gets_what_is_left(shares: list[float], weights: list[int]) -> None:
    assert whole_weights(shares, 10) == weights
