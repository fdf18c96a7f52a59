"""A plan changes only where that is worth it, by steps, unless a rule would be broken."""

import numpy as np
import pytest

from lowtide.placement.hysteresis import decide
from lowtide.placement.plan import Plan
from lowtide.placement.sites import Hysteresis
from lowtide.placement.solve import solve
from tests.placement.files import problem

CALM = Hysteresis(saving_min=0.02, step_max=0.25)


def live(*shares: float, standby: tuple[str, ...] = ()) -> Plan:
    by_site = {f"site-{place}": share for place, share in enumerate(shares) if share}
    return Plan({"group-0": by_site}, {}, by_site, frozenset([*by_site, *standby]))


def test_without_live_shares_the_optimum_is_taken() -> None:
    found = decide(problem([50.0, 1.0, 20.0]), None, CALM)
    assert (found.action, found.saving) == ("replaced", None)
    assert found.placement.site_shares == pytest.approx([0.0, 0.8, 0.2])


def test_a_small_saving_changes_nothing() -> None:
    found = decide(problem([50.0, 50.1, 90.0]), live(0.2, 0.8), CALM)
    assert found.action == "kept"
    assert found.placement.site_shares == pytest.approx([0.2, 0.8, 0.0])
    assert "not more than 2.0%" in found.reason


def test_a_large_saving_moves_one_step() -> None:
    found = decide(problem([50.0, 1.0, 90.0]), live(0.8, 0.2), CALM)
    assert found.action == "moved"
    assert found.placement.site_shares == pytest.approx([0.55, 0.45, 0.0])
    assert found.saving is not None
    assert found.saving > 0.02


def test_steps_end_at_the_optimum() -> None:
    given = problem([50.0, 1.0, 20.0])
    plan = live(0.8, 0.2)
    for _ in range(6):
        found = decide(given, plan, CALM)
        plan = Plan.of(found.placement)
    assert found.action == "kept"
    assert found.placement.emissions_g_per_hour == pytest.approx(
        solve(given).emissions_g_per_hour, rel=CALM.saving_min
    )


def test_a_broken_rule_is_mended_whatever_that_saves() -> None:
    crowded = problem([1.0, 50.0, 90.0], capacity_per_s=np.array([45.0, 100.0, 100.0]))
    found = decide(crowded, live(0.8, 0.2), CALM)
    assert found.action == "moved"
    assert found.reason == "site-0 would be over its capacity"
    assert found.placement.site_shares[0] == pytest.approx(0.75)


def test_where_no_step_is_enough_the_optimum_is_taken() -> None:
    crowded = problem([1.0, 50.0, 90.0], capacity_per_s=np.array([20.0, 100.0, 100.0]))
    found = decide(crowded, live(0.8, 0.2), CALM)
    assert found.action == "replaced"
    assert found.reason == "site-0 would be over its capacity; no step of 0.25 keeps the rules"


def test_an_open_site_without_a_share_counts_for_a_loss() -> None:
    """Two small sites serve; the third, on standby, can stand in for either."""
    small = problem([1.0, 1.0, 90.0], capacity_per_s=np.full(3, 40.0), share_min=0.0)
    assert decide(small, live(0.5, 0.5, standby=("site-2",)), CALM).action == "kept"
    alone = decide(small, live(0.5, 0.5), CALM)
    assert alone.reason == "a loss could not be made up for"


@pytest.mark.parametrize("share", [0.2, 0.0])
def test_a_site_that_is_gone_serves_no_longer_whatever_that_saves(share: float) -> None:
    """Be it that it had a share, or that it stood by."""
    given, plan = problem([50.0, 50.1, 90.0]), live(0.5, 0.5 - share)
    shares = {"group-0": {**plan.shares["group-0"], "gone": share}}
    found = decide(given, Plan(shares, {}, {}, plan.open_sites | {"gone"}), CALM)
    assert (found.action, found.reason) == ("moved", "gone may serve no longer")
    assert found.placement.shares.sum() == pytest.approx(1)
    assert decide(given, plan, CALM).action == "kept"


def test_where_no_step_saves_anything_the_live_shares_stay() -> None:
    """Another site would be better alone, but for a quarter of the requests it is not opened."""
    idle = problem(
        [1.4, 1.0, 50.0], grams_open_per_hour=np.full(3, 100.0),
        share_max=1.0, share_min=0.0, survive_one_loss=False,
    )  # fmt: skip
    found = decide(idle, live(1.0), CALM)
    assert (found.action, found.saving) == ("kept", pytest.approx(0, abs=1e-6))
    assert found.reason == "no step of 0.25 saves anything: raise hysteresis.step_max"
    large = Hysteresis(saving_min=0.02, step_max=1.0)
    assert decide(idle, live(1.0), large).placement.site_shares[1] == pytest.approx(1)


def test_rounding_of_live_weights_breaks_no_rule() -> None:
    """Capacity binds exactly; a weight is up to 1 / 1000 more."""
    given = problem([1.0, 50.0], capacity_per_s=np.array([41.99, 100.0]), survive_one_loss=False)
    assert decide(given, live(0.7, 0.3), CALM).action == "kept"
