"""What is to come: a provider's own forecast, carried on by one from history, both with bands.

Whatever is issued is kept, the provider's and ours alongside, to be scored later.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from lowtide.carbon.forecast.drivers import Drivers, joined
from lowtide.carbon.forecast.issued import IssuedFile
from lowtide.carbon.forecast.values import forecast_values
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import ArtifactError

HOUR = timedelta(hours=1)
DriverSource = Callable[[datetime], Drivers | None]  # around an instant; None: not to be had
log = logging.getLogger(__name__)


class Forecaster:
    """Forecasts of one provider and zone. `drivers` tell what is known of the causes."""

    def __init__(self, issued: IssuedFile, drivers: Sequence[DriverSource] = ()) -> None:
        self._issued, self._drivers = issued, drivers
        self._said_unusable = False

    def join(
        self,
        own: Sequence[IntensityValue],
        past: Sequence[IntensityValue],
        at: datetime,
        end: datetime,
        *,
        fresh: bool,
    ) -> list[IntensityValue]:
        """`own` and what a forecast from `past` adds up to `end`; one signal throughout.

        A provider's value without a band gets one as wide as its past errors, or, while few of
        them are known, as those of our forecast. Only a `fresh` one is kept, and asks for drivers.
        """
        found = [source(at) for source in self._drivers] if fresh else []
        drivers = joined([part for part in found if part is not None])
        until = max(end, own[-1].end) if own else end
        made = [
            replace(value, basis=past[-1].basis, issued_at=at)
            for value in forecast_values(past, at, (until - at) / HOUR, drivers)
        ]
        if fresh:
            self.keep(made, at)
        covered = own[-1].end if own else at
        rest = [replace(v, start=max(v.start, covered)) for v in made if v.end > covered]
        widths = self._widths(own, past, at)
        return [*(_with_band(value, widths, made) for value in own), *rest]

    def keep(self, values: Sequence[IntensityValue], at: datetime) -> None:
        """Keep a forecast as it was issued. A file that cannot be used is warned of once."""
        try:
            self._issued.record([v for v in values if v.status == "forecast"], at)
        except ArtifactError as error:  # the forecast itself is not at fault
            self._warn(error)

    def _warn(self, error: ArtifactError) -> None:
        if not self._said_unusable:
            log.warning("%s", error)
        self._said_unusable = True

    def _widths(
        self, own: Sequence[IntensityValue], past: Sequence[IntensityValue], at: datetime
    ) -> np.ndarray | None:
        """Half the band by hours ahead, from the provider's own past errors."""
        forecasts = [value for value in own if value.status == "forecast"]
        if not forecasts or forecasts[0].low is not None:
            return None
        try:
            return self._issued.half_widths(forecasts[0].zone, forecasts[0].source, past, at)
        except ArtifactError as error:
            self._warn(error)
            return None


def _with_band(
    value: IntensityValue, widths: np.ndarray | None, made: Sequence[IntensityValue]
) -> IntensityValue:
    if value.low is not None:
        return value
    half = float("nan")
    if widths is not None:
        half = float(widths[_hours_ahead(value, len(widths))])
    if np.isnan(half):
        half = _half(next((one for one in made if one.start <= value.start < one.end), None))
    if np.isnan(half):
        return value
    level = value.intensity_g_per_kwh
    return replace(value, low=max(level - half, 0.0), high=level + half)


def _hours_ahead(value: IntensityValue, num: int) -> int:
    if value.issued_at is None:
        return 1
    return min(max(int((value.start - value.issued_at) / HOUR) + 1, 1), num - 1)


def _half(value: IntensityValue | None) -> float:
    if value is None or value.high is None:
        return float("nan")
    return value.high - value.intensity_g_per_kwh
