"""Loops of one's own on a replayed grid: paced, metered, and within their budget."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import lowtide
from lowtide import Pace, pace
from lowtide.energy.budget import Budget
from lowtide.energy.totals import ComponentTotal, Totals
from lowtide.errors import UsageError

pytestmark = pytest.mark.usefixtures("checkout")

EVENING = datetime(2022, 4, 5, 1, tzinfo=UTC)  # in California: dirty until the next morning
REPLAY = {"trace": "packaged", "at": EVENING, "replay_speed": 36000.0}  # ten hours a second


def test_a_loop_is_held_back_until_the_grid_is_cleaner(capsys: pytest.CaptureFixture[str]) -> None:
    with Pace(40, deadline_hours=40, name="mine", **REPLAY) as pacing:
        for _ in range(40):
            pacing.before_step()
            time.sleep(0.02)
            pacing.after_step()
        totals = pacing.totals
    assert pacing.step == 40
    assert len(pacing.pauses) >= 1
    assert all(pause.end - pause.start > timedelta(hours=2) for pause in pacing.pauses)
    assert (totals.energy_kwh or 0) > 0
    told = capsys.readouterr().err
    assert "lowtide: mine: paused until 05 Apr" in told
    assert "lowtide: mine: 40 steps" in told


def test_items_come_in_order_and_without_a_deadline_at_once(checkout: Path) -> None:
    assert list(pace(range(5), **REPLAY)) == [0, 1, 2, 3, 4]
    assert (checkout / ".lowtide/ledger.db").exists()


def test_a_loop_ends_when_its_budget_is_spent(capsys: pytest.CaptureFixture[str]) -> None:
    done = []
    for item in pace(range(1000), budget_kwh=1e-9, **REPLAY):
        done.append(item)
        time.sleep(0.05)
    assert 1 <= len(done) < 1000
    assert f"the budget is spent after {len(done)} of 1000 steps" in capsys.readouterr().err


def test_a_loop_of_unknown_length_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    with Pace(0, budget_kwh=1e-9, **REPLAY) as pacing:
        while not pacing.over:
            pacing.before_step()
            time.sleep(0.05)
            pacing.after_step()
    assert f"the budget is spent after {pacing.step} steps" in capsys.readouterr().err


def test_a_budget_of_nothing_and_an_unknown_length_are_refused() -> None:
    with pytest.raises(UsageError, match="leaves nothing"):
        Pace(10, budget_g=0.0, **REPLAY)

    def endless() -> Iterator[int]:
        yield 1

    with pytest.raises(UsageError, match="total="):
        list(pace(endless(), **REPLAY))
    assert list(pace(endless(), total=1, **REPLAY)) == [1]


def test_the_nearest_limit_counts_and_the_unknown_is_no_zero() -> None:
    cpu = {"cpu": ComponentTotal(0.5, "s", "measured")}
    budget = Budget(emissions_g=100.0, energy_kwh=1.0)
    assert budget.used(Totals(0.5, 80.0, 1.0, cpu)) == 0.8
    assert budget.used(Totals(1.5, None, 1.0, cpu)) == 1.5
    assert budget.is_blind(Totals(1.5, None, 1.0, cpu))
    assert not budget.is_blind(Totals(0.5, 80.0, 1.0, cpu))
    assert Budget(energy_kwh=1.0).used(Totals(0.5, None, 1.0, cpu)) == 0.5
    assert budget.used(Totals()) == 0.0  # nothing is metered yet
    assert Budget().used(Totals(0.5, 80.0, 1.0, cpu)) == 0.0


def test_what_the_package_offers_is_loaded_when_asked_for() -> None:
    assert lowtide.pace is pace
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lowtide.nothing  # type: ignore[attr-defined]


def test_loading_is_part_of_a_step_and_a_last_item_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ten steps of 40 ms, nearly all of it loading, are four hours of the replayed clock."""

    def loads() -> Iterator[int]:
        for item in range(10):
            time.sleep(0.04)
            yield item

    for item in pace(loads(), total=10, deadline_hours=1000, name="loads", **REPLAY):
        if item == 8:
            break
    assert "lowtide: loads: 9 steps" in capsys.readouterr().err
    with Pace(30, deadline_hours=1000, **REPLAY) as pacing:
        for _ in range(9):
            time.sleep(0.04)  # loads
            pacing.before_step()
            pacing.after_step()
        assert pacing._pacer is not None
        assert 0.3 < pacing._pacer._step_hours < 4
