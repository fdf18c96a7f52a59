"""A job that comes again learns from the ledger alone, whoever ran it before."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.controller.power import Tradeoff
from lowtide.controller.recurring import BatchSizes, Trial
from lowtide.controller.trials import RecurringJob, history
from lowtide.energy.ledger import Ledger, TrialRow

NIGHT = datetime(2022, 1, 1, 22, tzinfo=UTC)
RUN = TrialRow("nightly", 64, 150.0, 1000.0, 10.0, 0.1, converged=True, started_at=NIGHT)
SIZES = BatchSizes([16, 32, 64, 128], 64)
ENERGY = Tradeoff(1.0, 300)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def job(ledger: Ledger, name: str = "nightly") -> RecurringJob[TrialRow]:
    return RecurringJob(ledger, name, SIZES, ENERGY)


def test_each_run_tells_the_next_one(ledger: Ledger) -> None:
    """A valley with its floor at 32, walked by runs that share nothing but the ledger."""
    joules = {16: 1200.0, 32: 600.0, 64: 1000.0, 128: 2000.0}
    chosen = []
    for night in range(8):
        choice = job(ledger).choose()
        energy_j = min(joules[choice.batch_size], choice.cost_limit)
        job(ledger).record(
            replace(
                RUN,
                batch_size=choice.batch_size,
                energy_j=energy_j,
                converged=energy_j == joules[choice.batch_size],
                started_at=NIGHT + timedelta(days=night),
            )
        )
        chosen.append(choice.batch_size)
    assert chosen == [64, 32, 16, 128, 32, 32, 32, 32]


def test_two_jobs_do_not_mix(ledger: Ledger) -> None:
    job(ledger).record(RUN)
    assert job(ledger).choose().batch_size == 32
    assert job(ledger, "weekly").choose().batch_size == 64
    assert ledger.trials("weekly") == []


def test_a_run_of_another_job_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="'weekly' is no trial of 'nightly'"):
        job(ledger).record(replace(RUN, job="weekly"))


@pytest.mark.parametrize("spent", [{"energy_j": -1.0}, {"duration_s": float("nan")}])
def test_what_no_run_can_have_spent_is_refused(ledger: Ledger, spent: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot be negative or endless"):
        job(ledger).record(replace(RUN, **spent))
    assert ledger.trials("nightly") == []


def test_a_cost_weighs_joules_against_seconds_and_unknown_ones_tell_nothing() -> None:
    runs = [RUN, replace(RUN, energy_j=None), replace(RUN, batch_size=32, converged=False)]
    assert history(runs, Tradeoff(0.5, 300)) == [
        Trial(64, 0.5 * 1000 + 0.5 * 300 * 10, reached=True),
        Trial(32, 0.5 * 1000 + 0.5 * 300 * 10, reached=False),
    ]
