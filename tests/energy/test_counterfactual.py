"""The same work at once: end to end, in the intensity that came, a value asked for once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lowtide.carbon.signal import IntensityValue
from lowtide.energy.counterfactual import active_time, run_now_emissions_g
from lowtide.energy.ledger import Interval
from lowtide.errors import CarbonError

NOON = datetime(2022, 4, 14, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Source:
    """100 g/kWh for half an hour, then a hole of which ten minutes are asked, then 400."""

    zone = name = "test"

    def __init__(self) -> None:
        self.asked: list[datetime] = []

    def current(self, at: datetime) -> IntensityValue:
        self.asked.append(at)
        if at < NOON + MINUTE * 30:
            return self._value(0, 30, 100.0, "measured")
        if at < NOON + MINUTE * 40:
            return self._value(30, 150, 100.0, "estimated")
        if at < NOON + MINUTE * 60:
            return self._value(40, 60, 400.0, "measured")
        raise CarbonError("nothing beyond an hour")

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return []

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        return []

    def _value(self, start: int, end: int, level: float, status: str) -> IntensityValue:
        return IntensityValue(
            "test", NOON + MINUTE * start, NOON + MINUTE * end, level, "average",
            status, "test",  # type: ignore[arg-type]
        )  # fmt: skip


def worked(num: int) -> list[Interval]:
    """Minutes of 36 kJ each, run a day later and with a pause after the first."""
    later = NOON + timedelta(days=1)
    starts = [later] + [later + timedelta(hours=5) + MINUTE * k for k in range(num - 1)]
    return [
        Interval(
            "r", "train", "cpu", start, start + MINUTE, 60.0, 36e3, "test", "estimated", 50.0,
            "test", 1.0, 0.5, False, False,
        )
        for start in starts
    ]  # fmt: skip


def test_it_is_laid_end_to_end_over_what_the_grid_did() -> None:
    source = Source()
    assert run_now_emissions_g(worked(50), source, NOON) == pytest.approx(40 * 1.0 + 10 * 4.0)
    assert len(source.asked) == 1 + 10 + 1  # an estimate holds for its own minute only


def test_an_unknown_intensity_makes_it_unknown() -> None:
    assert run_now_emissions_g(worked(61), Source(), NOON) is None
    assert run_now_emissions_g([], Source(), NOON) is None


def test_a_clock_that_was_set_takes_nothing_from_the_time_that_was_worked() -> None:
    """Back by an hour in the second minute, forth by one in the third."""
    rows = worked(4)
    rows[1] = replace(rows[1], ended_at=rows[1].ended_at - MINUTE * 60)
    rows[2] = replace(rows[2], ended_at=rows[2].ended_at + MINUTE * 60)
    assert active_time(rows) == MINUTE * 4
    source = Source()
    assert run_now_emissions_g(rows, source, NOON) == pytest.approx(4.0)
    assert source.asked == [NOON]


def test_what_was_metered_side_by_side_is_worked_once_and_one_pass_is_enough() -> None:
    rows = [part for one in worked(3) for part in (one, replace(one, component="ram"))]
    assert active_time(iter(rows)) == MINUTE * 3
    assert run_now_emissions_g(iter(rows), Source(), NOON) == pytest.approx(6.0)
