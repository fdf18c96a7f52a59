"""Runs of a job that comes again try batch sizes, tell what they cost, and learn from it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lowtide.artifacts import LEDGER
from lowtide.controller.power import PowerPoint, PowerProfile, Tradeoff
from lowtide.controller.recurring import BatchSizes, Choice, Trial
from lowtide.energy.ledger import Ledger, TrialRow
from lowtide.energy.totals import Totals
from lowtide.errors import ParamsError
from lowtide.params import load_params
from lowtide.stages.recurring import Spent, costs, limit_kwh, profile_of, tradeoff_of
from lowtide.stages.run import run_stage

JOB = {"recurring": "nightly", "batch_sizes": [64, 128], "accuracy_target": 0.05, "land": False}

NIGHT = datetime(2022, 1, 1, 22, tzinfo=UTC)
RUN = TrialRow("nightly", 64, None, 1000.0, 10.0, 0.1, converged=True, started_at=NIGHT)


def trained() -> dict[str, Any]:
    report = run_stage("train")
    assert report is not None
    return report


def trials() -> list[TrialRow]:
    with Ledger(LEDGER) as ledger:
        return ledger.trials("nightly")


@pytest.fixture
def prepared(write_params: Callable[..., Path]) -> Callable[..., Path]:
    write_params(train={"batch_size": 64, "epochs": 2}, controller=JOB)
    run_stage("prepare")
    return write_params


@pytest.mark.usefixtures("prepared")
def test_a_run_takes_what_has_not_been_tried() -> None:
    first, second = trained(), trained()
    assert (first["recurring"]["batch_size"], second["recurring"]["batch_size"]) == (64, 128)
    assert first["recurring"]["reached_target"]
    told = trials()
    assert [trial.batch_size for trial in told] == [64, 128]
    for trial, report in zip(told, (first, second), strict=True):
        assert trial.converged
        assert trial.energy_j is not None
        assert 0 < trial.energy_j <= report["energy_kwh"] * 3.6e6


@pytest.mark.usefixtures("prepared")
def test_a_batch_size_that_is_hopeless_is_given_up() -> None:
    with Ledger(LEDGER) as ledger:
        ledger.append_trial(
            TrialRow("nightly", 64, None, 1e-6, 1.0, None, True, datetime(2022, 1, 1, tzinfo=UTC))
        )
    report = trained()
    assert report["recurring"] == {
        "job": "nightly", "batch_size": 128, "reason": "not tried yet", "reached_target": False,
        "gave_up": True,
    }  # fmt: skip
    assert any("batch 128 -> 64" in reason for reason in report["decisions"])
    assert not trials()[-1].converged
    assert trials()[-1].batch_size == 128


def test_a_target_that_is_not_reached_is_told(prepared: Callable[..., Path]) -> None:
    prepared(
        train={"batch_size": 64, "epochs": 1, "learning_rate": 1e-9},
        controller={**JOB, "accuracy_target": 1.0},
    )
    assert not trained()["recurring"]["reached_target"]
    assert not trials()[0].converged


def test_without_a_target_there_is_nothing_to_compare(write_params: Callable[..., Path]) -> None:
    path = write_params(controller={**JOB, "accuracy_target": None})
    with pytest.raises(ParamsError, match="set accuracy_target and batch_sizes"):
        load_params(path)


def test_each_run_tells_the_next_one(tmp_path: Path) -> None:
    """A valley with its floor at 32, walked by runs that share nothing but the ledger."""
    joules, chosen = {16: 1200.0, 32: 600.0, 64: 1000.0, 128: 2000.0}, []
    for night in range(8):
        with Ledger(tmp_path / "ledger.db") as ledger:
            rows = ledger.trials("nightly")
            choice = BatchSizes(list(joules), 64).choose(costs(rows, tradeoff_of(rows, 1.0)))
            energy_j = min(joules[choice.batch_size], choice.cost_limit)
            ledger.append_trial(
                replace(
                    RUN, batch_size=choice.batch_size, energy_j=energy_j,
                    converged=energy_j == joules[choice.batch_size],
                    started_at=NIGHT + timedelta(days=night),
                )
            )  # fmt: skip
            ledger.append_trial(replace(RUN, job="weekly", batch_size=16, energy_j=1.0))
        chosen.append(choice.batch_size)
    assert chosen == [64, 32, 16, 128, 32, 32, 32, 32]


def test_a_cost_weighs_joules_against_seconds_and_unknown_ones_tell_nothing() -> None:
    runs = [RUN, replace(RUN, energy_j=None), replace(RUN, batch_size=32, converged=False)]
    assert costs(runs, Tradeoff(0.5, 300)) == [
        Trial(64, 0.5 * 1000 + 0.5 * 300 * 10, reached=True),
        Trial(32, 0.5 * 1000 + 0.5 * 300 * 10, reached=False),
    ]


def test_a_second_costs_the_most_that_a_run_has_drawn() -> None:
    unknown = replace(RUN, energy_j=None)
    assert tradeoff_of([], 0.5) == Tradeoff(0.5, 0.0)
    assert tradeoff_of([unknown, RUN, replace(RUN, energy_j=3000.0)], 0.5) == Tradeoff(0.5, 300.0)


def test_a_limit_of_cost_is_one_of_energy_at_what_a_joule_has_cost() -> None:
    choice = Choice(32, 3000.0, "not tried yet", 64)
    assert limit_kwh(choice, [RUN], Tradeoff(1.0, 300)) == pytest.approx(3000 / 3.6e6)
    assert limit_kwh(choice, [RUN], Tradeoff(0.5, 300)) == pytest.approx(1500 / 3.6e6)
    assert limit_kwh(replace(choice, cost_limit=float("inf")), [], Tradeoff(1.0, 0.0)) is None


def test_the_newest_power_profile_of_the_batch_size_is_handed_on() -> None:
    old, new, other = (
        PowerProfile(("GPU-0",), (300.0,), (PowerPoint(300.0, power_w, 1.0),))
        for power_w in (280.0, 290.0, 100.0)
    )
    rows = [
        replace(RUN, power_profile=old.as_json()), replace(RUN, power_profile=new.as_json()), RUN,
        replace(RUN, batch_size=32, power_profile=other.as_json()),
    ]  # fmt: skip
    assert profile_of(rows, 64) == new
    assert profile_of(rows, 16) is None


def test_what_a_night_of_waiting_drew_is_no_cost_of_a_batch_size() -> None:
    """A quarter of the joules and nine tenths of the hours went by in pauses."""
    totals = Totals(
        energy_kwh=4.0, emissions_g=40.0, duration_s=36000.0, parked_energy_kwh=1.0,
        parked_emissions_g=4.0, parked_s=32400.0,
    )  # fmt: skip
    spent = Spent.of(totals)
    assert spent == Spent(3.0 * 3.6e6, 3600.0, 36.0)
    assert spent.until(1.0) == Spent(1.0 * 3.6e6, pytest.approx(1200), pytest.approx(12))
    assert spent.until(None) == Spent(None, 3600.0, 36.0)
    assert Spent.of(replace(totals, parked_energy_kwh=None)).energy_j is None
