"""The usual week of a zone, from values gathered over time: the mean of each hour of the week."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from lowtide.carbon.clean import HOUR
from lowtide.carbon.failures import NoDataError
from lowtide.carbon.signal import IntensityValue

WEEK_HOURS = 168
LEAST = timedelta(days=14)
LEARNT_FROM = timedelta(days=56)  # older weeks belong to another season


class WeekProfile:
    """`kept` gives the values that began and ended between two instants, ascending.

    Raises, at each question:
        NoDataError: under two weeks of values, or an hour of the week without any.
    """

    def __init__(
        self, zone: str, name: str, kept: Callable[[datetime, datetime], Sequence[IntensityValue]]
    ) -> None:
        self.zone, self.name = zone, f"hour-of-week profile from {name}"
        self._kept = kept
        self._means: tuple[IntensityValue, dict[int, float]] | None = None

    def current(self, at: datetime) -> IntensityValue:
        return self.forecast(at, 1.0)[0]

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        newest, means = self._profile(at)
        end = at + timedelta(hours=hours)
        start = at.replace(minute=0, second=0, microsecond=0)
        values = []
        while start < end:
            level = means[_hour_of_week(start)]
            values.append(
                IntensityValue(
                    self.zone, start, start + HOUR, level, newest.kind, "estimated", self.name,
                    newest.basis,
                )
            )  # fmt: skip
            start += HOUR
        return values

    def _profile(self, at: datetime) -> tuple[IntensityValue, dict[int, float]]:
        kept = self._kept(at - LEARNT_FROM, at)
        if not kept or kept[-1].end - kept[0].start < LEAST:
            raise NoDataError(f"under two weeks of history of {self.zone}: no profile")
        if self._means is None or self._means[0] != kept[-1]:
            self._means = kept[-1], _means(kept)
        if len(self._means[1]) < WEEK_HOURS:
            raise NoDataError(f"the history of {self.zone} lacks hours of the week: no profile")
        return self._means


def _means(values: Sequence[IntensityValue]) -> dict[int, float]:
    """Mean by hour of the week (0: Monday 00:00 UTC); a value counts by the hour it starts in."""
    sums: dict[int, tuple[float, float]] = {}
    for value in values:
        hour, lasts_s = _hour_of_week(value.start), (value.end - value.start).total_seconds()
        total, weight_s = sums.get(hour, (0.0, 0.0))
        sums[hour] = total + value.intensity_g_per_kwh * lasts_s, weight_s + lasts_s
    return {hour: total / weight_s for hour, (total, weight_s) in sums.items()}


def _hour_of_week(instant: datetime) -> int:
    return instant.weekday() * 24 + instant.hour
