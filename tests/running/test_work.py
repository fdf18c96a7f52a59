"""Work counts while it goes, rests in between, and is never believed to be at its end."""

from datetime import UTC, datetime, timedelta

import pytest

from lowtide.clock import ReplayClock
from lowtide.running.state import Job
from lowtide.running.work import Work

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_only_active_time_counts_and_an_estimate_is_outlived() -> None:
    clock, saved = ReplayClock(NOON, 1.0, monotonic=lambda: 0.0), []
    work = Work(Job("r", NOON, NOON + timedelta(days=1), 0.0, 4.0, "given"), clock, saved.append)
    work.go()
    clock.sleep_until(NOON + timedelta(hours=3))
    assert work.left_hours() == pytest.approx(1)
    work.rest()
    clock.sleep_until(NOON + timedelta(hours=10))
    assert work.left_hours() == pytest.approx(1)
    work.go()
    clock.sleep_until(NOON + timedelta(hours=17))
    assert work.active_hours == pytest.approx(10)
    assert work.left_hours() == pytest.approx(1)  # a tenth of ten hours
    work.rest()
    assert [job.active_s / 3600 for job in saved] == [3, 10]


def test_it_goes_on_where_an_earlier_start_was() -> None:
    clock = ReplayClock(NOON, 1.0, monotonic=lambda: 0.0)
    job = Job("r", NOON, NOON + timedelta(days=1), 7200.0, 4.0, "given")
    assert Work(job, clock, lambda _: None).left_hours() == pytest.approx(2)


class Suspended:
    """The system's clock across a suspend: it jumps, the monotonic clock does not."""

    replay = False

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def sleep_until(self, instant: datetime) -> None:
        self.at = max(self.at, instant)

    def real_seconds(self, duration: timedelta) -> float:
        return duration.total_seconds()


def test_time_in_a_suspend_is_no_work() -> None:
    clock = Suspended()
    job = Job("r", NOON, NOON + timedelta(days=1), 0.0, 4.0, "given")
    work = Work(job, clock, lambda _: None)
    work.go()
    clock.sleep_until(NOON + timedelta(hours=3))
    assert work.active_hours < 0.1
    assert work.left_hours() > 3.9
