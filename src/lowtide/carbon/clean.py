"""From points as they came over the wire to a clean series of values.

A null is a gap and never a zero; what cannot be an intensity is a gap too; a gap of one step is
bridged by the value before it, marked estimated; a longer one stays.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from lowtide.carbon.signal import Basis, IntensityValue, Kind, Status

ABSURD_G_PER_KWH = 3000.0  # no grid has reached it; a value above is a unit error
HOUR = timedelta(hours=1)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """What an API says of an interval; `end` is None where it labels the start only."""

    start: datetime
    intensity_g_per_kwh: float | None
    status: Status
    end: datetime | None = None
    detail: str = ""  # joined to the source's name, for example the method of an estimate


@dataclass(frozen=True)
class Origin:
    """What all points of one answer share."""

    zone: str
    kind: Kind
    basis: Basis
    source: str
    fetched_at: datetime
    issued_at: datetime | None = None


def clean(
    points: Iterable[Point], origin: Origin, step: timedelta | None = None
) -> list[IntensityValue]:
    """Ascending, disjoint and plausible values; of two for one instant the later in `points`.

    `step` is how long a point without an end lasts at most; without it the usual distance.
    """
    newest: dict[datetime, Point] = {}
    for point in points:
        if _plausible(point) or point.start not in newest:
            newest[point.start] = point
    starts = sorted(newest)
    lasts = step or _usual_step(starts)
    known = [newest[s] for s in starts if _plausible(newest[s])]
    _warn_of_absurd(newest.values(), origin)
    return [_value(point, origin) for point in _bridged(_closed(known, lasts), lasts)]


def trim(values: Sequence[IntensityValue], start: datetime, end: datetime) -> list[IntensityValue]:
    """The values that overlap [start, end), whole."""
    return [value for value in values if value.end > start and value.start < end]


def _plausible(point: Point) -> bool:
    level = point.intensity_g_per_kwh
    return level is not None and math.isfinite(level) and 0 <= level <= ABSURD_G_PER_KWH


def _warn_of_absurd(points: Iterable[Point], origin: Origin) -> None:
    absurd = [p for p in points if p.intensity_g_per_kwh is not None and not _plausible(p)]
    if absurd:
        first = absurd[0]
        log.warning(
            "%s: %d values of %s are no intensity and count as gaps, the first %s g/kWh at %s",
            origin.source, len(absurd), origin.zone, first.intensity_g_per_kwh, first.start,
        )  # fmt: skip


def _usual_step(starts: Sequence[datetime]) -> timedelta:
    if len(starts) < 2:
        return HOUR
    return timedelta(seconds=median((b - a).total_seconds() for a, b in pairwise(starts)))


def _closed(points: Sequence[Point], step: timedelta) -> list[Point]:
    """Every point with an end: its own or one step on, and never beyond the next point."""
    closed = []
    for index, point in enumerate(points):
        end = point.end or point.start + step
        after = points[index + 1].start if index + 1 < len(points) else end
        closed.append(replace(point, end=min(end, after)))
    return closed


def _bridged(points: Sequence[Point], step: timedelta) -> list[Point]:
    bridged: list[Point] = []
    for point in points:
        before = bridged[-1] if bridged else None
        if before and before.end and timedelta(0) < point.start - before.end <= step:
            bridged.append(
                replace(before, start=before.end, end=point.start, status="estimated",
                        detail="carried over a gap")
            )  # fmt: skip
        bridged.append(point)
    return bridged


def _value(point: Point, origin: Origin) -> IntensityValue:
    assert point.end is not None
    assert point.intensity_g_per_kwh is not None
    return IntensityValue(
        zone=origin.zone,
        start=point.start,
        end=point.end,
        intensity_g_per_kwh=point.intensity_g_per_kwh,
        kind=origin.kind,
        status=point.status,
        source=f"{origin.source}, {point.detail}" if point.detail else origin.source,
        basis=origin.basis,
        issued_at=origin.issued_at if point.status == "forecast" else None,
        fetched_at=origin.fetched_at,
    )
