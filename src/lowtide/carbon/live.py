"""One provider behind its cache: what is fresh, and apart from it what is only stale.

A provider without a forecast of its own, or with a short one, is carried on by a forecast from
its own history: one signal throughout.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lowtide.carbon.cache import DiskCache, Query
from lowtide.carbon.clean import trim
from lowtide.carbon.failures import FetchError, NoDataError, RefusedError
from lowtide.carbon.forecaster import Forecaster
from lowtide.carbon.history import HistoryFile
from lowtide.carbon.providers import Provider
from lowtide.carbon.signal import IntensityValue
from lowtide.carbon.ttl import (
    STALE_FORECAST,
    STALE_HISTORY,
    STALE_LATEST,
    STALE_WARNING,
    Route,
    ttl_s,
)
from lowtide.carbon.wall import Wall
from lowtide.errors import CarbonError

ASKED_FOR = timedelta(days=92)  # of a provider's past, for a forecast to be trained on
KEPT = timedelta(days=400)
REVISED = timedelta(hours=48)  # figures younger than this are asked for again
PAST = timedelta(hours=1)  # an instant this long ago is looked up in the history
ISSUED = timedelta(minutes=5)  # a forecast for another moment was not issued now
FRONT = timedelta(hours=1)  # a forecast may begin this much after now: the last value fills in
log = logging.getLogger(__name__)


class LiveSource:
    """Values of one provider that are fresh; CarbonError where there are none."""

    def __init__(
        self,
        provider: Provider,
        cache: DiskCache[IntensityValue],
        history: HistoryFile,
        wall: Wall,
        forecaster: Forecaster,
    ) -> None:
        self.zone, self.name = provider.zone, provider.name
        self.provider = provider
        self._cache, self._history, self._wall = cache, history, wall
        self._forecaster = forecaster
        self._said_no_forecast = False

    def current(self, at: datetime) -> IntensityValue:
        """The running interval; a last value that ended under two hours ago, as an estimate."""
        if at < self._wall.now() - PAST:
            return value_at(self._known(at - timedelta(days=1), at + timedelta(days=1)), at)
        return value_at(self._latest(), at)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        try:
            self._refresh(start)
        except FetchError as error:
            log.info("history of %s is not refreshed: %s", self.zone, error)
        return self.kept_history(start, end)

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        end = at + timedelta(hours=hours)
        own = [] if at < self._wall.now() - PAST else self._own_forecast(at)
        if not own or own[-1].end < end:
            try:
                self._refresh(at - ASKED_FOR)
            except FetchError:
                if not own:
                    raise
        issued = abs(at - self._wall.now()) < ISSUED
        if issued:
            self._forecaster.keep(own, at)
        return self._carried_on(own, at, end, fresh=issued)

    def stale_current(self, at: datetime) -> IntensityValue:
        """As `current`, from the last answer that was kept; a forecast made for now counts too."""
        entry = self._cache.peek(self._query("latest"))
        try:
            return value_at(entry.rows if entry else (), at)
        except NoDataError:
            return value_at(self._stale_forecast(), at)

    def stale_forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        """A forecast under 12 h old, carried on; else one from history that ended under 24 h ago.

        Nothing is asked for.
        """
        end = at + timedelta(hours=hours)
        return self._carried_on(_covering(self._stale_forecast(), at, ()), at, end, fresh=False)

    def kept_history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        """What was gathered over time and lies within; nothing is asked for."""
        return self._history.between(start, end)

    def _latest(self) -> tuple[IntensityValue, ...]:
        return self._ask("latest", self.provider.latest)

    def _own_forecast(self, at: datetime) -> list[IntensityValue]:
        """The provider's; empty where it has none for us. That it is away is an error."""
        try:
            values = self._ask("forecast", self.provider.forecast)
        except (RefusedError, NoDataError) as error:
            if not self._said_no_forecast:
                log.warning("no forecast, one is made from history: %s", error)
            self._said_no_forecast = True
            return []
        front = () if values and values[0].start <= at else self._front(at)
        return _covering(values, at, front)

    def _front(self, at: datetime) -> tuple[IntensityValue, ...]:
        try:
            return (value_at(self._latest(), at),)
        except CarbonError:
            return ()

    def _stale_forecast(self) -> Sequence[IntensityValue]:
        entry = self._cache.peek(self._query("forecast"))
        if entry is None:
            return ()
        age = self._wall.now() - entry.fetched_at
        if not timedelta(0) <= age < STALE_FORECAST:
            return ()
        if age >= STALE_WARNING:
            log.warning("the forecast of %s is %.0f h old", self.name, age / timedelta(hours=1))
        return entry.rows

    def _carried_on(
        self, own: Sequence[IntensityValue], at: datetime, end: datetime, *, fresh: bool
    ) -> list[IntensityValue]:
        """The provider's values, then those of a forecast from its history, all with bands."""
        past = self.kept_history(at - KEPT, at)
        if not past or at - past[-1].end > STALE_HISTORY:
            if not own:
                raise NoDataError(
                    f"{self.name} has no forecast and no recent history of {self.zone}"
                )
            return trim(own, at, end)  # as far as known, and without bands
        return trim(self._forecaster.join(own, past, at, end, fresh=fresh), at, end)

    def _refresh(self, start: datetime) -> None:
        """Ask for the past: all of it once, later what is new or may have been revised."""
        now = self._wall.now()
        fresh_s = ttl_s(self.provider.key, "history", now)
        kept = self._history.read()
        wanted = _midnight(start)
        if kept and kept[0].start < wanted + timedelta(days=1):
            wanted = max(wanted, _midnight(min(kept[-1].end, now - REVISED)))

        def load() -> list[IntensityValue]:
            self._history.add(self.provider.history(wanted, now), now)
            return []  # the history file has them

        num_days = (now - wanted).days
        self._cache.fetch(self._query("history", days=str(num_days)), fresh_s, load)
        if num_days > REVISED.days:  # the newest days came with the older
            self._cache.fetch(self._query("history", days=str(REVISED.days)), fresh_s, lambda: [])

    def _known(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return self.history(start, min(end, self._wall.now()))

    def _ask(
        self, route: Route, ask: Callable[[datetime], list[IntensityValue]]
    ) -> tuple[IntensityValue, ...]:
        now = self._wall.now()

        def load() -> list[IntensityValue]:
            values = ask(now)
            self._history.add(values, now)
            return values

        return self._cache.fetch(self._query(route), ttl_s(self.provider.key, route, now), load)

    def _query(self, route: Route, **params: str) -> Query:
        if route == "latest" and self.provider.one_answer:
            route = "forecast"
        return Query(self.provider.key, route, (("zone", self.zone), *params.items()))


def value_at(values: Sequence[IntensityValue], at: datetime) -> IntensityValue:
    """The value that holds at an instant, or the last one carried on for up to two hours.

    Raises:
        NoDataError: there is none, or the last is older.
    """
    for value in values:
        if value.start <= at < value.end:
            return value
    ended = [v for v in values if v.end <= at and v.status != "forecast"]
    if not ended:
        raise NoDataError(f"no intensity at {at:%Y-%m-%d %H:%M} UTC")
    last = ended[-1]
    if at - last.end >= STALE_LATEST:
        raise NoDataError(
            f"the last intensity of {last.zone} ended at {last.end:%Y-%m-%d %H:%M} UTC: too old"
        )
    return replace(
        last, start=last.end, end=last.end + STALE_LATEST, status="estimated",
        source=f"{last.source}, last value carried on",
    )  # fmt: skip


def _covering(
    values: Sequence[IntensityValue], at: datetime, front: Sequence[IntensityValue]
) -> list[IntensityValue]:
    """The values from `at` on, the first holding at `at`; empty if they begin too late."""
    ahead = [value for value in values if value.end > at]
    if not ahead or ahead[0].start <= at:
        return ahead
    if not front or ahead[0].start - at > FRONT:
        return []
    status = front[0].status if front[0].end >= ahead[0].start else "estimated"
    return [replace(front[0], end=ahead[0].start, status=status), *ahead]


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)
