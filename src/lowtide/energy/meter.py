"""A window around code: joules each second, weighed with the grid's intensity at that second."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta

from lowtide.carbon.signal import IntensitySource, IntensityValue
from lowtide.clock import Clock
from lowtide.energy.ledger import Interval, Ledger
from lowtide.energy.sources import KWH_IN_J, EnergySource, Reading, kind
from lowtide.energy.totals import Totals
from lowtide.errors import ArtifactError, CarbonError, MeterError

OUTRUN = "; where the replay outran its trace: a lower carbon.replay_speed (--replay-speed)"
UNREADABLE = "unreadable"  # stands for the components of a source that has told nothing
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Used:
    """Joules between two looks at the sources, by reading; what they emitted is not known yet."""

    started_at: datetime
    ended_at: datetime
    duration_s: float
    parked: bool
    parts: tuple[tuple[Reading, float], ...]
    lost: tuple[str, ...]


class Window:
    """The metering of one run. Threads may call it; a resumed run counts on from the ledger.

    Looking at the sources is quick; booking what was used asks the grid, and may take as long as a
    network does. Only `sample` and `close` wait for that.

    A component that was metered and is lost makes the run's energy unknown from there on: a sum
    without it would only look smaller.
    """

    def __init__(self, meter: "EnergyMeter", run_id: str, stage: str) -> None:
        self._meter, self._run_id, self._stage = meter, run_id, stage
        self._looking, self._booking, self._adding = (threading.Lock() for _ in range(3))
        self._totals = meter.ledger.totals(run_id)
        self._sources = list(meter.sources)
        self._silent = list(meter.sources)  # those that have told nothing yet
        self._lost: set[str] = set()
        self._last = {reading.component: reading for reading in self._read()}
        self._lost |= _of_other_kinds(self._totals.components, self._last)
        self._since, self._since_s = meter.clock.now(), time.monotonic()
        self._opened_s = self._since_s
        self._unbooked: deque[_Used] = deque()
        self._parked = self._closed = self._told = False
        self._due = threading.Event()
        self._thread = threading.Thread(
            target=self._keep_sampling, name="energy-meter", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Write the last interval; from here on `totals` stands still."""
        if not self._closed:
            self._closed = True
            self._due.set()
            self._thread.join()
            self.sample()
            self._say_if_unresolved()

    def totals(self) -> Totals:
        """Of what is booked."""
        with self._adding:
            return deepcopy(self._totals)

    def sample(self) -> None:
        """Close the present interval: read all sources, weigh, and write to the ledger."""
        self._look()
        self._book()

    def park(self) -> None:
        """From here on the work waits; what is used meanwhile is counted as parked."""
        self._turn(parked=True)

    def resume(self) -> None:
        self._turn(parked=False)

    def _turn(self, *, parked: bool) -> None:
        """The thread books what was used up to now."""
        self._look()
        self._parked = parked
        self._due.set()

    def _keep_sampling(self) -> None:
        """Where nobody else has sampled meanwhile: who samples often keeps intervals of its own."""
        wait_s = self._length_s()
        while True:
            self._due.wait(wait_s)
            self._due.clear()  # before the look at `_closed`, which is set before `_due`
            if self._closed:
                return
            wait_s = self._since_s + self._length_s() - time.monotonic()
            if wait_s > 0 and not self._unbooked:
                continue
            try:
                if wait_s <= 0:
                    self._look()
                self._book()
            except ArtifactError as error:  # what could not be written now is tried again
                log.warning("%s", error)
            wait_s = self._length_s()

    def _length_s(self) -> float:
        """Of the present interval: as long as the window before it, so that short ones have some.

        With the meter's defaults samples come at 0.1, 0.2, 0.4, 0.8, 1.6 s, then each second.
        """
        window_s = self._since_s - self._opened_s
        return min(max(window_s, self._meter.first_s), self._meter.interval_s)

    def _say_if_unresolved(self) -> None:
        totals = self.totals()
        if totals.unresolved:
            log.warning(
                "%s was metered for %.3f s, less than the time between two updates of %s: "
                "its energy is not resolved", self._run_id, totals.duration_s,
                " and ".join(totals.unresolved),
            )  # fmt: skip

    def _look(self) -> None:
        """Note what was used since the last look."""
        with self._looking:
            readings = self._read()
            self._lost |= self._last.keys() - {reading.component for reading in readings}
            now, now_s = self._meter.clock.now(), time.monotonic()
            parts = tuple((reading, self._used_j(reading)) for reading in readings)
            lost, elapsed_s = tuple(sorted(self._lost)), now_s - self._since_s
            since = self._since
            if now < since:  # the system's clock was set back
                since = now - timedelta(seconds=elapsed_s)
            self._unbooked.append(_Used(since, now, elapsed_s, self._parked, parts, lost))
            self._last |= {reading.component: reading for reading in readings}
            self._since, self._since_s = now, now_s

    def _book(self) -> None:
        """Weigh what is noted and write it to the ledger; what cannot be written stays noted."""
        with self._booking:
            while self._unbooked:
                used = self._unbooked[0]
                rows = self._rows(used)
                self._meter.ledger.append(rows)
                self._unbooked.popleft()
                with self._adding:
                    for row in rows:
                        self._totals.add(row)
                    self._totals.duration_s += used.duration_s
                    self._totals.parked_s += used.duration_s if used.parked else 0.0

    def _rows(self, used: _Used) -> list[Interval]:
        """One for each component, the lost ones included."""
        meter = self._meter
        value = self._intensity(used.started_at)
        intensity = None if value is None else value.intensity_g_per_kwh
        origin = None if value is None else f"{value.source} ({value.status})"
        age_s = None if meter.clock.replay else _age_s(value, used.ended_at)

        def row(component: str, energy_j: float | None, source: str, provenance: str) -> Interval:
            grams = None
            if energy_j is not None and intensity is not None:
                grams = energy_j / KWH_IN_J * intensity * meter.pue
            return Interval(
                self._run_id, self._stage, component, used.started_at, used.ended_at,
                used.duration_s, energy_j, source, provenance, intensity, origin, meter.pue, grams,
                meter.clock.replay, used.parked, age_s,
            )  # fmt: skip

        rows = [row(r.component, joules, r.source, r.provenance) for r, joules in used.parts]
        return rows + [row(name, None, "none any more", "unknown") for name in used.lost]

    def _used_j(self, reading: Reading) -> float:
        before = self._last.get(reading.component)
        return max(reading.energy_j - (before.energy_j if before else 0.0), 0.0)

    def _intensity(self, at: datetime) -> IntensityValue | None:
        try:
            return self._meter.intensity.current(at)
        except CarbonError as error:
            if not self._told:
                outrun = OUTRUN if self._meter.clock.replay else ""
                log.warning("emissions are unknown from here on: %s%s", error, outrun)
            self._told = True
            return None

    def _read(self) -> list[Reading]:
        """Of all that answer; one that does not is asked no more, and what it had told is lost."""
        readings: list[Reading] = []
        for source in list(self._sources):
            try:
                told = source.read()
            except MeterError as error:
                log.warning("metering goes on without a source: %s", error)
                self._sources.remove(source)
                if source in self._silent:
                    self._lost.add(UNREADABLE)
                continue
            if told and source in self._silent:
                self._silent.remove(source)
            readings += told
        return readings


class EnergyMeter:
    """Opens windows over the given sources; one process meters one window at a time."""

    def __init__(
        self,
        sources: Sequence[EnergySource],
        intensity: IntensitySource,
        clock: Clock,
        ledger: Ledger,
        pue: float,
        interval_s: float = 1.0,
        first_s: float = 0.1,
    ) -> None:
        self.sources, self.intensity, self.clock = sources, intensity, clock
        self.ledger, self.pue = ledger, pue
        self.interval_s, self.first_s = interval_s, first_s

    @contextmanager
    def window(self, run_id: str, stage: str) -> Iterator[Window]:
        """Sample in a thread of its own, and once more at the end.

        The first interval takes `first_s`, the next ones are longer each, up to `interval_s`.
        """
        window = Window(self, run_id, stage)
        try:
            yield window
        finally:
            window.close()


def _age_s(value: IntensityValue | None, now: datetime) -> float | None:
    """Since the value was fetched."""
    if value is None or value.fetched_at is None:
        return None
    return max((now - value.fetched_at).total_seconds(), 0.0)


def _of_other_kinds(earlier: Iterable[str], present: Iterable[str]) -> set[str]:
    """Components of an earlier part of a run whose kind (cpu, ram, gpu) nothing reads now."""
    kinds = {kind(component) for component in present}
    return {component for component in earlier if kind(component) not in kinds}
