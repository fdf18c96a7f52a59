"""Grams are weighed interval by interval, nothing is counted twice, unknown stays unknown."""

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.carbon.signal import IntensityValue
from lowtide.energy.counterfactual import active_time, run_now_emissions_g
from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter
from lowtide.energy.sources import Reading
from lowtide.errors import ArtifactError, CarbonError, MeterError

NOON = datetime(2022, 1, 1, 12, tzinfo=UTC)
KWH = 3.6e6


class ManualClock:
    replay = True

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        return self.instant

    def sleep_until(self, instant: datetime) -> None:
        self.instant = max(self.instant, instant)

    def real_seconds(self, duration: timedelta) -> float:
        return duration.total_seconds()


class StepGrid:
    """100 g/kWh before 13:00, 300 until 15:00, unknown after."""

    zone, name = "Z", "step"

    def current(self, at: datetime) -> IntensityValue:
        if at >= NOON + timedelta(hours=3):
            raise CarbonError("the trace has ended")
        level = 100.0 if at < NOON + timedelta(hours=1) else 300.0
        return IntensityValue("Z", at, at, level, "average", "measured", "step")

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return []

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        return []


class Counter:
    def __init__(self) -> None:
        self.cpu_j = self.gpu_j = 0.0
        self.gone = False
        self.gpu = "gpu0"

    def read(self) -> list[Reading]:
        if self.gone:
            raise MeterError("unplugged")
        return [
            Reading("cpu", self.cpu_j, "fake model", "estimated"),
            Reading(self.gpu, self.gpu_j, "fake counter", "measured"),
        ]

    def close(self) -> None:
        pass


@pytest.fixture
def rig(tmp_path: Path) -> tuple[EnergyMeter, Counter, ManualClock, Ledger]:
    counter, clock, ledger = Counter(), ManualClock(), Ledger(tmp_path / "ledger.db")
    meter = EnergyMeter([counter], StepGrid(), clock, ledger, 1.5, interval_s=3600, first_s=3600)
    return meter, counter, clock, ledger


def test_each_interval_has_its_own_intensity(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, clock, ledger = rig
    with meter.window("run", "train") as window:
        counter.cpu_j += KWH
        clock.instant = NOON + timedelta(hours=1)
        window.sample()
        counter.gpu_j += 2 * KWH
        clock.instant = NOON + timedelta(hours=2)
    totals = ledger.totals("run")
    assert totals.energy_kwh == pytest.approx(3)
    assert totals.emissions_g == pytest.approx((1 * 100 + 2 * 300) * 1.5)
    assert totals.provenance == "mixed"
    parts = sum(part.energy_kwh for part in totals.components.values())
    assert parts == pytest.approx(totals.energy_kwh)


def test_a_resumed_run_counts_on_and_counts_once(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, _, ledger = rig
    with meter.window("run", "train"):
        counter.cpu_j += KWH
    counter.cpu_j += 5 * KWH  # used while no window was open
    with meter.window("run", "train") as window:
        counter.cpu_j += KWH
        window.sample()
        assert window.totals().energy_kwh == pytest.approx(2)
    assert ledger.totals("run").energy_kwh == pytest.approx(2)
    assert ledger.last_instant("run") == NOON
    assert ledger.last_instant("another") is None


def test_unknown_intensity_makes_grams_unknown_not_zero(  # type: ignore[no-untyped-def]
    rig, caplog: pytest.LogCaptureFixture
) -> None:
    meter, counter, clock, ledger = rig
    clock.instant = NOON + timedelta(hours=5)
    with meter.window("run", "train") as window:
        counter.cpu_j += KWH
        window.sample()
    assert ledger.totals("run").emissions_g is None
    assert ledger.totals("run").energy_kwh == pytest.approx(1)
    assert caplog.text.count("emissions are unknown from here on") == 1  # and not each second
    assert "a lower carbon.replay_speed" in caplog.text


def test_a_lost_source_does_not_stop_the_work_but_its_energy_is_unknown(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, clock, ledger = rig
    with meter.window("run", "train") as window:
        counter.cpu_j += KWH
        window.sample()
        counter.gone = True
        clock.instant += timedelta(minutes=20)
        window.sample()
        counter.gone = False
        clock.instant += timedelta(minutes=20)
    for totals in (window.totals(), ledger.totals("run")):
        assert (totals.energy_kwh, totals.emissions_g) == (None, None)
        assert totals.provenance == "unknown"
        assert totals.components["cpu"].energy_kwh is None
    intervals = ledger.intervals("run")
    assert active_time(intervals) == timedelta(minutes=40)
    assert run_now_emissions_g(intervals, StepGrid(), NOON) is None


def test_a_run_resumed_where_a_component_is_not_read_is_unknown(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, _, ledger = rig
    with meter.window("run", "train"):
        counter.cpu_j += KWH
    meter.sources = []
    with meter.window("run", "train"):
        pass
    assert ledger.totals("run").energy_kwh is None


def test_a_run_resumed_on_another_gpu_is_known(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, _, ledger = rig
    with meter.window("run", "train"):
        counter.gpu_j += KWH
    counter.gpu = "gpu1"
    with meter.window("run", "train"):
        counter.gpu_j += KWH
    assert ledger.totals("run").energy_kwh == pytest.approx(2)


def test_a_source_that_never_answers_makes_energy_unknown(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, _, ledger = rig
    broken = Counter()
    broken.gone = True
    meter.sources = [counter, broken]
    with meter.window("run", "train"):
        counter.cpu_j += KWH
    assert ledger.totals("run").energy_kwh is None
    assert ledger.totals("run").components["cpu"].energy_kwh == pytest.approx(1)


def test_who_samples_often_keeps_intervals_of_its_own(rig) -> None:  # type: ignore[no-untyped-def]
    meter, _, _, ledger = rig
    meter.interval_s = meter.first_s = 0.6
    with meter.window("run", "evaluate") as window:
        for _ in range(45):
            time.sleep(0.02)
            window.sample()
    assert len(ledger.intervals("run")) == 2 * (45 + 1)


def test_a_ledger_that_cannot_be_read_is_named(rig, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, _, _, ledger = rig
    outside = sqlite3.connect(tmp_path / "ledger.db")
    outside.executescript("DROP TABLE intervals; DROP TABLE sums; DROP TABLE spans")
    for read in (ledger.totals, ledger.intervals, ledger.last_instant):
        with pytest.raises(ArtifactError, match=r"ledger\.db cannot be used \(no such table"):
            read("run")


def test_run_at_once_leaves_the_wait_out(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, clock, ledger = rig
    with meter.window("run", "train") as window:
        counter.cpu_j += KWH
        clock.instant += timedelta(minutes=30)
        window.park()
        clock.sleep_until(NOON + timedelta(hours=2))
        window.resume()
        counter.cpu_j += KWH
        clock.instant += timedelta(minutes=20)
    intervals = ledger.intervals("run")
    assert active_time(intervals) == timedelta(minutes=50)
    assert ledger.totals("run").emissions_g == pytest.approx((100 + 300) * 1.5)
    at_once = run_now_emissions_g(intervals, StepGrid(), NOON)
    assert at_once == pytest.approx((100 + 100) * 1.5)


def test_a_ledger_that_fails_for_a_moment_loses_nothing(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, _, ledger = rig
    append, calls = ledger.append, []

    def full_at_first(intervals) -> None:  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 1:
            raise ArtifactError("database or disk is full")
        append(intervals)

    ledger.append = full_at_first
    meter.interval_s = 0.01
    with meter.window("run", "train"):
        counter.cpu_j += KWH
        while len(calls) < 3:
            time.sleep(0.01)
    assert ledger.totals("run").energy_kwh == pytest.approx(1)


def test_a_clock_that_is_set_back_makes_no_negative_time_and_loses_no_joules(  # type: ignore[no-untyped-def]
    rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter, counter, clock, ledger = rig
    clock.replay = False
    seconds = [0.0]
    monkeypatch.setattr("lowtide.energy.meter.time.monotonic", lambda: seconds[0])
    with meter.window("run", "train") as window:
        for set_to in (0, -3600, 0):
            counter.cpu_j += KWH
            seconds[0] += 60
            clock.instant += timedelta(seconds=60 + set_to)
            window.sample()
    rows = ledger.intervals("run")
    assert all(row.ended_at >= row.started_at for row in rows)
    assert rows[2].started_at == NOON - timedelta(minutes=59)  # as the clock has it now
    assert active_time(rows) == timedelta(minutes=3)
    totals = ledger.totals("run")
    assert (totals.energy_kwh, totals.duration_s) == (pytest.approx(3), 180)
    assert totals.emissions_g == pytest.approx(3 * 100 * 1.5)


class HungGrid(StepGrid):
    """Answers when it is let go, as a network that does not."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def current(self, at: datetime) -> IntensityValue:
        self.go.wait(20)
        return super().current(at)


def test_a_grid_that_does_not_answer_holds_nobody_up(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, clock, ledger = rig
    grid = meter.intensity = HungGrid()
    meter.interval_s = 0.01
    begun_s = time.monotonic()
    with meter.window("run", "exec") as window:
        counter.cpu_j += KWH
        while not window._booking.locked():  # the thread has asked, and waits
            time.sleep(0.01)
        window.park()
        counter.cpu_j += KWH
        clock.instant += timedelta(hours=2)
        window.resume()
        assert window.totals().energy_kwh is None  # nothing is booked yet
        assert time.monotonic() - begun_s < 5
        grid.go.set()
    assert ledger.totals("run").energy_kwh == pytest.approx(2)
    parked = [interval.energy_j for interval in ledger.intervals("run") if interval.parked]
    assert sum(parked) == pytest.approx(KWH)


class WokenAsItCloses(threading.Event):
    """Its first wait ends by the clock at the very instant at which it is set."""

    first = True

    def wait(self, timeout: float | None = None) -> bool:
        if not self.first:
            return super().wait(timeout)
        self.first = False
        super().wait(30)
        return False


def test_a_close_at_the_instant_of_a_sample_is_heard(  # type: ignore[no-untyped-def]
    rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter, _, _, _ = rig
    monkeypatch.setattr("lowtide.energy.meter.threading.Event", WokenAsItCloses)

    def open_and_close() -> None:
        with meter.window("run", "train"):
            pass

    thread = threading.Thread(target=open_and_close, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_intervals_grow_from_the_first_to_the_usual_length(rig) -> None:  # type: ignore[no-untyped-def]
    """Each as long as the window before it: a short window has several, a long one a few more."""
    meter, _, _, _ = rig
    meter.interval_s, meter.first_s = 1.0, 0.1
    with meter.window("run", "train") as window:
        window._opened_s, due = 0.0, []
        for since_s in (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 2.6):
            window._since_s = since_s
            due.append(round(since_s + window._length_s(), 3))
    assert due == [0.1, 0.2, 0.4, 0.8, 1.6, 2.6, 3.6]


def test_a_short_window_has_several_intervals(rig) -> None:  # type: ignore[no-untyped-def]
    meter, counter, _, ledger = rig
    meter.interval_s, meter.first_s = 3600, 0.001
    with meter.window("run", "train"):
        counter.cpu_j += KWH
        while len(ledger.intervals("run")) < 2 * 4:
            time.sleep(0.001)
    assert ledger.totals("run").energy_kwh == pytest.approx(1)


class Slow(Counter):
    def read(self) -> list[Reading]:
        return [Reading("gpu0", self.gpu_j, "nvml energy counter", "measured")]


def test_a_window_shorter_than_its_counters_updates_says_so(  # type: ignore[no-untyped-def]
    rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    meter, counter, _, ledger = rig
    meter.sources = [counter, Slow()]
    counter.gpu = "gpu1"
    seconds = [10.0]
    monkeypatch.setattr("lowtide.energy.meter.time.monotonic", lambda: seconds[0])
    with meter.window("short", "train") as short:
        seconds[0] += 0.04
    assert short.totals().unresolved == ledger.totals("short").unresolved == ["gpu0"]
    assert "short was metered for 0.040 s, less than the time between two updates of gpu0" in (
        caplog.text
    )
    caplog.clear()
    with meter.window("long", "train"):
        seconds[0] += 0.2
    assert ledger.totals("long").unresolved == []
    assert caplog.text == ""
