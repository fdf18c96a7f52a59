"""Generation by fuel of the past, through the cache: what a forecast may learn from.

Asked for in blocks that lie fixed on the calendar, so that only what is new, or may have been
revised, is asked again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lowtide.carbon.answer import instant
from lowtide.carbon.cache import DiskCache, Query
from lowtide.carbon.failures import FetchError, NoDataError
from lowtide.carbon.forecast.drivers import HOUR, WEEK, Drivers
from lowtide.carbon.forecast.hourly import hour_means
from lowtide.carbon.rows import Codec
from lowtide.carbon.ttl import CLOSED_MIX_TTL_S, MIX_TTL_S
from lowtide.carbon.wall import Wall

PAST = timedelta(weeks=13)  # a forecast begins to learn from drivers after eleven
SHORTEST = timedelta(hours=1)  # of a block that has only begun
REVISED = timedelta(days=2)  # figures younger than this may still change
KNOWN = 0.9  # of the rows: a fuel known in fewer is left out
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # whence the weeks of the fits count, too
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mix:
    """What was generated from `start` to `end`, by fuel, each in one unit throughout."""

    start: datetime
    end: datetime
    fuels: Mapping[str, float]


@runtime_checkable
class MixProvider(Protocol):
    """A provider that also tells generation by fuel; raises as Provider does."""

    key: str
    zone: str
    mix_block: timedelta  # asked for in one request, whole weeks

    def mix(self, start: datetime, end: datetime, /) -> list[Mix]:
        """Of [start, end), ascending; at least one."""


class GenerationDrivers:
    """The fuels' past as what a forecast may learn from."""

    def __init__(self, provider: MixProvider, cache: DiskCache[Mix], wall: Wall) -> None:
        self._provider, self._cache, self._wall = provider, cache, wall
        self._said_away = False

    def __call__(self, at: datetime) -> Drivers | None:
        """Hours before `at`; None, with a warning once, where there is nothing to be had."""
        try:
            rows = self._rows(at)
        except FetchError as error:
            if not self._said_away:
                log.warning("the forecast does without generation by fuel: %s", error)
            self._said_away = True
            return None
        self._said_away = False
        return mix_drivers(rows, at)

    def _rows(self, at: datetime) -> list[Mix]:
        block = self._provider.mix_block
        rows: list[Mix] = []
        start = EPOCH + (at - PAST - EPOCH) // block * block
        while start + SHORTEST <= at:
            rows += self._block(start, start + block, at)
            start += block
        if not rows:
            raise NoDataError(f"no generation by fuel in {self._provider.zone}")
        return [row for row in rows if row.end <= at]

    def _block(self, start: datetime, end: datetime, at: datetime) -> Sequence[Mix]:
        """Its rows; none where the provider has nothing for it."""
        closed = end + REVISED <= self._wall.now()
        when = (("zone", self._provider.zone), ("from", start.isoformat()))
        try:
            return self._cache.fetch(
                Query(self._provider.key, "generation", when),
                CLOSED_MIX_TTL_S if closed else MIX_TTL_S,
                lambda: self._provider.mix(start, min(end, at)),
            )
        except NoDataError:
            return ()


def mix_drivers(rows: Sequence[Mix], at: datetime) -> Drivers | None:
    """From the first week's boundary on, by the hour; None without a fuel that is known enough."""
    counts: dict[str, int] = {}
    for row in rows:
        for fuel in row.fuels:
            counts[fuel] = counts.get(fuel, 0) + 1
    fuels = sorted(fuel for fuel, count in counts.items() if count >= KNOWN * len(rows))
    if not fuels:
        return None
    skipped = -int(rows[0].start.timestamp() // 3600) % WEEK
    first = rows[0].start.replace(minute=0, second=0, microsecond=0) + HOUR * skipped
    edges = np.array([[(row.start - first) / HOUR, (row.end - first) / HOUR] for row in rows])
    levels = np.array([[row.fuels.get(fuel, np.nan) for fuel in fuels] for row in rows])
    num = max(int((at - first) / HOUR), 0)
    return Drivers(first, hour_means(edges, levels, num), np.empty((0, 0)))


def shares(megawatts: Mapping[str, float]) -> dict[str, float]:
    """What each fuel has of the whole, and the whole; empty where nothing was generated."""
    whole = sum(megawatts.values())
    if whole <= 0:
        return {}
    return {**{fuel: power / whole for fuel, power in megawatts.items()}, "whole": whole}


def _encode(mix: Mix) -> dict[str, Any]:
    return {
        "start": mix.start.isoformat(),
        "end": mix.end.isoformat(),
        "fuels": {fuel: round(level, 5) for fuel, level in mix.fuels.items()},
    }


def _decode(row: dict[str, Any]) -> Mix:
    fuels = {str(fuel): float(level) for fuel, level in row["fuels"].items()}
    return Mix(instant(row["start"], "mix"), instant(row["end"], "mix"), fuels)


MIX: Codec[Mix] = Codec(_encode, _decode)
