"""A window around code: joules each second, weighed with the grid's intensity at that second."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime

from lowtide.carbon.signal import IntensitySource
from lowtide.clock import Clock
from lowtide.energy.ledger import Interval, Ledger, Totals, add
from lowtide.energy.sources import EnergySource, Reading
from lowtide.errors import ArtifactError, CarbonError, MeterError

log = logging.getLogger(__name__)


class Window:
    """The metering of one run. Threads may call it; a resumed run counts on from the ledger."""

    def __init__(self, meter: "EnergyMeter", run_id: str, stage: str) -> None:
        self._meter, self._run_id, self._stage = meter, run_id, stage
        self._lock = threading.Lock()
        self._totals = meter.ledger.totals(run_id)
        self._sources = list(meter.sources)
        self._last = {reading.component: reading for reading in self._read()}
        self._since, self._since_s = meter.clock.now(), time.monotonic()
        self._parked = False
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._keep_sampling, name="energy-meter", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Write the last interval; from here on `totals` stands still."""
        if not self._closed.is_set():
            self._closed.set()
            self._thread.join()
            self.sample()

    def totals(self) -> Totals:
        with self._lock:
            return deepcopy(self._totals)

    def sample(self) -> None:
        """Close the present interval: read all sources, weigh, and write to the ledger."""
        with self._lock:
            self._sample()

    def park(self) -> None:
        """From here on the work waits; what is used meanwhile is counted as parked."""
        self.sample()
        self._parked = True

    def resume(self) -> None:
        self.sample()
        self._parked = False

    def _keep_sampling(self) -> None:
        while not self._closed.wait(self._meter.interval_s):
            try:
                self.sample()
            except ArtifactError as error:  # the next sample takes over what this one could not
                log.warning("%s", error)

    def _sample(self) -> None:
        readings = self._read()
        now, now_s = self._meter.clock.now(), time.monotonic()
        rows = self._rows(readings, now, now_s - self._since_s)
        self._meter.ledger.append(rows)
        for row in rows:
            add(self._totals, row)
        self._totals.duration_s += now_s - self._since_s
        self._last |= {reading.component: reading for reading in readings}
        self._since, self._since_s = now, now_s

    def _rows(self, readings: Sequence[Reading], now: datetime, elapsed_s: float) -> list[Interval]:
        meter = self._meter
        intensity, origin = self._intensity(self._since)
        rows = []
        for reading in readings:
            before = self._last.get(reading.component)
            energy_j = max(reading.energy_j - (before.energy_j if before else 0.0), 0.0)
            grams = None if intensity is None else energy_j / 3.6e6 * intensity * meter.pue
            rows.append(
                Interval(
                    self._run_id,
                    self._stage,
                    reading.component,
                    self._since,
                    now,
                    elapsed_s,
                    energy_j,
                    reading.source,
                    reading.provenance,
                    intensity,
                    origin,
                    meter.pue,
                    grams,
                    meter.clock.replay,
                    self._parked,
                )
            )
        return rows

    def _intensity(self, at: datetime) -> tuple[float | None, str | None]:
        try:
            value = self._meter.intensity.current(at)
        except CarbonError as error:
            log.warning("emissions are unknown from here on: %s", error)
            return None, None
        return value.intensity_g_per_kwh, f"{value.source} ({value.status})"

    def _read(self) -> list[Reading]:
        readings: list[Reading] = []
        for source in list(self._sources):
            try:
                readings += source.read()
            except MeterError as error:
                log.warning("metering goes on without a source: %s", error)
                self._sources.remove(source)
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
    ) -> None:
        self.sources, self.intensity, self.clock = sources, intensity, clock
        self.ledger, self.pue, self.interval_s = ledger, pue, interval_s

    @contextmanager
    def window(self, run_id: str, stage: str) -> Iterator[Window]:
        """Sample each `interval_s` in a thread of its own, and once more at the end."""
        window = Window(self, run_id, stage)
        try:
            yield window
        finally:
            window.close()
