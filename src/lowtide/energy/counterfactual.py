"""What the same work would have emitted, had it run at once and without a pause."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby

from lowtide.carbon.signal import IntensitySource, IntensityValue
from lowtide.energy.ledger import Interval
from lowtide.energy.sources import KWH_IN_J
from lowtide.errors import CarbonError

Span = tuple[datetime, datetime, float]


def active_time(intervals: Iterable[Interval]) -> timedelta:
    """The clock's time in which the run worked, waits left out; as the ledger has them in order."""
    spans = groupby((one for one in intervals if not one.parked), _span)
    return sum((_length(next(group)) for _, group in spans), timedelta())


def run_now_emissions_g(
    intervals: Iterable[Interval], source: IntensitySource, start: datetime
) -> float | None:
    """The energy of the same work, laid end to end from `start`, in realised intensity.

    Parked intervals are left out: who runs at once does not wait. None where an intensity or
    the energy is unknown, or nothing was metered.
    """
    grams, at = 0.0, start
    value: IntensityValue | None = None
    last: Interval | None = None
    for interval in intervals:
        if interval.parked:
            continue
        if interval.energy_j is None:
            return None
        if last is not None and _span(interval) != _span(last):
            at += _length(last)
        last = interval
        try:
            if value is None or value.status != "measured" or not value.start <= at < value.end:
                value = source.current(at)
        except CarbonError:
            return None
        grams += interval.energy_j / KWH_IN_J * value.intensity_g_per_kwh * interval.pue
    return None if last is None else grams


def _span(interval: Interval) -> Span:
    """Components that were metered side by side have it in common."""
    return interval.started_at, interval.ended_at, interval.duration_s


def _length(interval: Interval) -> timedelta:
    """By a replay's clock; else of the wall, since a system's clock may be set meanwhile."""
    if interval.replay:
        return interval.ended_at - interval.started_at
    return timedelta(seconds=interval.duration_s)
