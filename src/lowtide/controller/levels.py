"""What a GPU's power limits are worth to the planner, from the profile of the first steps."""

from collections.abc import Sequence
from typing import NamedTuple

from lowtide.controller.power import PowerPoint


class RelativeLevel(NamedTuple):
    """A power limit in units of the highest one: the limit itself, and the throughput and the power
    that were measured at it. The fields are those of the planner's `Level`, in its order."""

    level: float
    throughput: float
    power: float


def relative_levels(points: Sequence[PowerPoint]) -> tuple[RelativeLevel, ...]:
    """The limits worth running at, from the highest down; at least one.

    A limit is left out where another did as much for less power, or more for as much; of two
    that measured the same the lower stays. Where noise made the highest limit such a one, the
    first level is not 1.

    Raises:
        ValueError: there are no points, or one of them is not positive.
    """
    if not points:
        raise ValueError("levels need at least one power limit that was measured")
    for point in points:
        if min(point.limit_w, point.power_w, point.throughput) <= 0:
            raise ValueError(f"limit, watts and throughput must be positive, not {point}")
    full = max(points, key=lambda point: point.limit_w)
    worth: list[PowerPoint] = []
    for point in sorted(points, key=lambda p: (p.power_w, -p.throughput, p.limit_w)):
        if not worth or point.throughput > worth[-1].throughput:
            worth.append(point)
    return tuple(
        RelativeLevel(
            point.limit_w / full.limit_w,
            point.throughput / full.throughput,
            point.power_w / full.power_w,
        )
        for point in reversed(worth)
    )
