"""The double-threshold policy on a live source: for when there is no forecast, or a bad one."""

from datetime import datetime, timedelta

from lowtide.carbon.signal import IntensitySource
from lowtide.errors import CarbonError
from lowtide.planning.guard import Guard
from lowtide.planning.online import thresholds_for
from lowtide.planning.profile import WorkProfile

HOUR = timedelta(hours=1)
SEEN = timedelta(days=14)  # over which the lowest and the highest price are taken


def price_at(source: IntensitySource, instant: datetime) -> float | None:
    """g/kWh; None where it is unknown, or known from a fallback of another kind of signal only."""
    try:
        value = source.current(instant)
    except CarbonError:
        return None
    return None if value.rung in ("annual", "constant") else value.intensity_g_per_kwh


def guard_for(
    source: IntensitySource, now: datetime, work_hours: float, profile: WorkProfile, slot: timedelta
) -> Guard | None:
    """Thresholds for the whole work from the prices of two weeks; None where none is known."""
    try:
        seen = [value.intensity_g_per_kwh for value in source.history(now - SEEN, now)]
    except CarbonError:
        seen = []
    price = price_at(source, now)
    seen += [] if price is None else [price]
    if not seen:
        return None
    slot_hours = slot / HOUR
    return Guard(thresholds_for(seen, work_hours / slot_hours, profile.resume_hours / slot_hours))
