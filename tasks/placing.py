"""The demand of now, with what the grid of each site emits now."""

from datetime import UTC, datetime

from lowtide.placement.intensity import open_grids, read_intensity
from lowtide.placement.problem import Problem, pose
from lowtide.placement.sites import Sites


def read_problem(found: Sites, at: datetime | None) -> Problem:
    """at: an instant to replay; None: now.

    Raises:
        CarbonError: an intensity is unknown.
    """
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    moment = (at or datetime.now(UTC)).astimezone(UTC)
    known = read_intensity(found, open_grids(found, at), moment)
    return pose(known.sites, moment, known.g_per_kwh)
