"""The double-threshold policy on a live source, for when no forecast can be had."""

from datetime import datetime, timedelta
from math import ceil

from lowtide.carbon.signal import IntensitySource
from lowtide.errors import CarbonError
from lowtide.planning.online import accepts, double_thresholds
from lowtide.planning.profile import WorkProfile

SEEN = timedelta(days=14)  # over which the lowest and the highest price are taken


def accepts_now(
    source: IntensitySource,
    now: datetime,
    slots: float,
    profile: WorkProfile,
    slot: timedelta,
    *,
    running: bool,
) -> bool | None:
    """Whether the next of `slots` slots of work is done at the present intensity.

    None where the present intensity, or the range it moves in, is unknown.
    """
    try:
        price = source.current(now).intensity_g_per_kwh
        seen = [value.intensity_g_per_kwh for value in source.history(now - SEEN, now)]
    except CarbonError:
        return None
    if not seen:
        return None
    low, high = min(*seen, price), max(*seen, price)
    lost = profile.resume_hours / (slot / timedelta(hours=1))  # slots of work, paid once a resume
    thresholds = double_thresholds(max(ceil(slots), 1), low, high, lost * high / 2)
    return accepts(thresholds, 0, price, running=running)
