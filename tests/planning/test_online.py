"""The double-threshold policy keeps its guarantee."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowtide.planning.online import accepts, double_thresholds


def run(prices: np.ndarray, units: int, low: float, high: float, switch: float) -> float:
    """Grams of the policy, a switch charged at each start and at each stop."""
    limits = double_thresholds(units, low, high, switch)
    done, running, grams = 0, False, 0.0
    for index, price in enumerate(prices):
        forced = len(prices) - index <= units - done
        wanted = done < units and (forced or accepts(limits, done, price, running=running))
        grams += switch * (wanted != running) + price * wanted
        done += wanted
        running = wanted
    return grams + switch * running


def optimum(prices: np.ndarray, units: int, switch: float) -> float:
    """The least grams over every choice, by recursion on (slot, done, running)."""
    best = {(0, False): 0.0}
    for price in prices:
        later: dict[tuple[int, bool], float] = {}
        for (done, running), grams in best.items():
            for wanted in (False, True):
                if done + wanted > units:
                    continue
                cost = grams + switch * (wanted != running) + price * wanted
                key = (done + wanted, wanted)
                later[key] = min(later.get(key, np.inf), cost)
        best = later
    return min(grams + switch * running for (done, running), grams in best.items() if done == units)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(50, 500), min_size=6, max_size=14).map(np.array),
    st.integers(1, 4),
    st.sampled_from([0.0, 10.0, 40.0]),
)
def test_never_emits_more_than_alpha_times_the_optimum(
    prices: np.ndarray, units: int, switch: float
) -> None:
    alpha = double_thresholds(units, 50.0, 500.0, switch).alpha
    ours = run(prices, units, 50.0, 500.0, switch)
    assert ours <= alpha * optimum(prices, units, switch) * (1 + 1e-9)


def test_without_switching_costs_one_unit_waits_for_the_geometric_mean() -> None:
    limits = double_thresholds(1, 50.0, 450.0, 0.0)
    assert limits.stay[0] == pytest.approx(np.sqrt(50 * 450))
    assert limits.alpha == pytest.approx(3.0)


def test_a_switch_that_costs_more_than_it_can_save_is_never_made() -> None:
    limits = double_thresholds(3, 100.0, 150.0, 40.0)
    assert accepts(limits, 0, 150.0, running=False)
