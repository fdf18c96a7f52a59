"""A purse holds a study to its grams; other workers' reservations count."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lowtide.clock import ReplayClock
from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter
from lowtide.errors import CarbonError
from lowtide.search.spending import OutOfGramsError, Purse
from lowtide.search.study import Study
from tests.energy.test_meter import KWH, Counter, StepGrid
from tests.search.test_study import opened

NOON = datetime(2022, 1, 1, 12, tzinfo=UTC)
LATE = datetime(2022, 1, 1, 16, tzinfo=UTC)  # when the grid is unknown


class Spender:
    """One worker with a trial, whose energy a test decides on: `spend` in grams at 100 g/kWh."""

    def __init__(self, study: Study, counter: Counter, purse: Purse) -> None:
        self.study, self.counter, self.purse = study, counter, purse

    def spend(self, grams: float) -> None:
        self.counter.cpu_j += grams / 100 * KWH


@contextmanager
def spender(study: Study, folder: Path, name: str, at: datetime = NOON) -> Iterator[Spender]:
    counter, number = Counter(), study.ask().number
    with Ledger(folder / f"{name}.db") as ledger:
        meter = EnergyMeter([counter], StepGrid(), ReplayClock(at, 1e-6), ledger, pue=1.0)
        with meter.window(name, "search") as window:
            yield Spender(
                study, counter,
                Purse(study, window, 10.0, lambda _: None, by=name, number=number),
            )  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with opened(tmp_path) as study:
        yield study


@pytest.fixture
def one(study: Study, tmp_path: Path) -> Iterator[Spender]:
    with spender(study, tmp_path, "one") as spending:
        yield spending


@pytest.fixture
def other(study: Study, tmp_path: Path) -> Iterator[Spender]:
    with spender(study, tmp_path, "other") as spending:
        yield spending


def test_it_goes_on_until_the_budget_is_spent(one: Spender) -> None:
    one.spend(9.9)
    one.purse.require()
    one.spend(0.2)
    with pytest.raises(OutOfGramsError):
        one.purse.require()
    assert one.study.spent_g() == pytest.approx(10.1)


def test_what_others_have_reserved_is_left_to_them(one: Spender, other: Spender) -> None:
    one.spend(4)
    with one.purse.reserved("probing", 4.0):
        with other.purse.reserved("probing", 2.0):
            pass
        with (
            pytest.raises(OutOfGramsError),
            other.purse.reserved("probing", 3.0),
        ):
            pass
    with other.purse.reserved("probing", 3.0):
        pass


def test_a_fit_ends_where_it_would_spend_what_another_worker_has_reserved(
    one: Spender, other: Spender
) -> None:
    one.spend(6)
    with one.purse.reserved("probing", 4.0):
        other.spend(0.15)
        other.purse.require()
        other.spend(0.1)
        with pytest.raises(OutOfGramsError):
            other.purse.require()
    other.purse.require()


def test_what_took_more_than_was_thought_is_thought_of_next_time(
    one: Spender, other: Spender
) -> None:
    with one.purse.reserved("probing", 1.0):
        one.spend(4)
    other.spend(3)
    with pytest.raises(OutOfGramsError), other.purse.reserved("probing", 1.0):
        pass


def test_grams_that_nobody_knows_hold_no_budget(study: Study, tmp_path: Path) -> None:
    with spender(study, tmp_path, "late", LATE) as late:
        late.spend(1)
        with pytest.raises(CarbonError, match="no budget of grams can be held"):
            late.purse.require()
