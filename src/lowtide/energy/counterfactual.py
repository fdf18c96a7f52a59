"""What the same work would have emitted, had it run at once and without a pause."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from lowtide.carbon.signal import IntensitySource, IntensityValue
from lowtide.energy.ledger import Interval
from lowtide.errors import CarbonError


def active_time(intervals: Sequence[Interval]) -> timedelta:
    """The clock's time in which the run worked, waits left out."""
    spans = {(i.started_at, i.ended_at) for i in intervals if not i.parked}
    return sum((end - start for start, end in spans), timedelta())


def run_now_emissions_g(
    intervals: Sequence[Interval], source: IntensitySource, start: datetime
) -> float | None:
    """The energy of the same work, laid end to end from `start`, in realised intensity.

    Parked intervals are left out: who runs at once does not wait. None where an intensity or
    the energy is unknown, or nothing was metered.
    """
    working = [interval for interval in intervals if not interval.parked]
    if not working:
        return None
    grams, at = 0.0, start
    value: IntensityValue | None = None
    span = (working[0].started_at, working[0].ended_at)
    for interval in working:
        if interval.energy_j is None:
            return None
        if (interval.started_at, interval.ended_at) != span:
            at += span[1] - span[0]
            span = (interval.started_at, interval.ended_at)
        try:
            if value is None or value.status != "measured" or not value.start <= at < value.end:
                value = source.current(at)
        except CarbonError:
            return None
        grams += interval.energy_j / 3.6e6 * value.intensity_g_per_kwh * interval.pue
    return grams
