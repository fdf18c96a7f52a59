"""Runs of a job that comes again try batch sizes, tell what they cost, and learn from it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lowtide.artifacts import LEDGER
from lowtide.energy.ledger import Ledger, TrialRow
from lowtide.errors import ParamsError
from lowtide.params import load_params
from lowtide.stages.run import run_stage

JOB = {"recurring": "nightly", "batch_sizes": [64, 128], "accuracy_target": 0.05, "land": False}


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
