"""The grid's intensity now, asked for in the background: an answer never waits for it."""

import asyncio
import logging
from datetime import timedelta

from lowtide.carbon.signal import IntensitySource, IntensityValue
from lowtide.clock import Clock
from lowtide.errors import CarbonError
from lowtide.serving.metrics import UNKNOWN, Metrics

EVERY = timedelta(minutes=1)  # of the clock
EVERY_S_MIN = 0.5  # of a replay
log = logging.getLogger(__name__)


class PresentIntensity:
    """`value` is None while nothing is known; without a source it stays so."""

    def __init__(
        self, source: IntensitySource | None, clock: Clock, metrics: Metrics, pue: float = 1.0
    ) -> None:
        self._source, self._clock, self._metrics = source, clock, metrics
        self.pue = pue
        self.value: IntensityValue | None = None

    @property
    def g_per_kwh(self) -> float | None:
        return None if self.value is None else self.value.intensity_g_per_kwh

    async def keep(self) -> None:
        """Ask again and again, until cancelled."""
        while self._source is not None:
            await asyncio.to_thread(self.ask)
            await asyncio.sleep(max(self._clock.real_seconds(EVERY), EVERY_S_MIN))

    def ask(self) -> None:
        assert self._source is not None
        before = self.value
        try:
            self.value = self._source.current(self._clock.now())
        except CarbonError as error:
            self.value = None
            if before is not None:
                log.warning("the intensity is unknown now: %s", error)
        self._metrics.intensity.set(UNKNOWN if self.g_per_kwh is None else self.g_per_kwh)
