"""WattTime v3: an account, marginal emissions (MOER), every 5 minutes, 72 hours ahead.

The free plan has the region CAISO_NORTH.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from lowtide.carbon.answer import clip, echoed, field, instant, listing, mapping, number
from lowtide.carbon.clean import Origin, Point, clean
from lowtide.carbon.failures import FormatError, NoDataError, RefusedError
from lowtide.carbon.fetch import LIMITS, Fetcher, Limits, Request
from lowtide.carbon.providers.login import WattTimeLogin
from lowtide.carbon.providers.ranges import gather, pieces
from lowtide.carbon.signal import Basis, IntensityValue, Kind
from lowtide.carbon.wall import Wall

BASE_URL = "https://api.watttime.org"
REGIONS = {"US-CISO": "CAISO_NORTH", "US-CAL-CISO": "CAISO_NORTH"}  # WattTime has its own names
SIGNAL = "co2_moer"
UNITS = "lbs_co2_per_mwh"
G_PER_KWH = 0.45359237  # in one lb/MWh
STEP = timedelta(minutes=5)
LONGEST = timedelta(days=30)
RECENT = timedelta(hours=3)
FORECAST_HOURS = "72"
MIN_GAP_S = 0.1  # 10 requests a second are allowed
log = logging.getLogger(__name__)


class WattTime:
    key = "watttime"
    name = "WattTime MOER"
    attribution = "Marginal emissions: WattTime (proprietary)"
    kind: Kind = "marginal"
    basis: Basis = "direct"
    one_answer = False

    def __init__(
        self,
        zone: str,
        user: str,
        password: str,
        wall: Wall,
        base_url: str | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.zone = zone
        self._region = REGIONS.get(zone, zone)
        self._wall = wall
        self._fetcher = Fetcher(base_url or BASE_URL, wall, limits=limits, min_gap_s=MIN_GAP_S)
        self._login = WattTimeLogin(self._fetcher, user, password, wall)
        self._warned: set[str] = set()

    def latest(self, now: datetime) -> list[IntensityValue]:
        return self._past(now - RECENT, now)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return gather(pieces(start, end, LONGEST), self._past)

    def forecast(self, _now: datetime) -> list[IntensityValue]:
        content, where = self._ask("/v3/forecast", horizon_hours=FORECAST_HOURS)
        generated = mapping(field(content, "meta", where), where).get("generated_at")
        issued_at = instant(generated, where) if generated is not None else self._wall.now()
        return self._values(content, where, issued_at)

    def _past(self, start: datetime, end: datetime) -> list[IntensityValue]:
        last = max(start, end - STEP)  # both ends belong to the answer
        content, where = self._ask(
            "/v3/historical", start=_text(start), end=_text(last), include_imputed_marker="true"
        )
        return self._values(content, where, None)

    def _ask(self, route: str, **params: str) -> tuple[Any, str]:
        asked = {"region": self._region, "signal_type": SIGNAL, **params}
        where = f"{self._fetcher.host}{route}"
        try:
            content = self._with_token(Request(route, asked))
        except RefusedError as error:
            if error.status != 403:
                raise
            raise RefusedError(
                f"{error}; region {self._region} is not in the plan of this account: "
                "set carbon.zone to one that is, CAISO_NORTH is free", 403, error.said,
            ) from None  # fmt: skip
        meta = field(content, "meta", where)
        echoed(meta, "region", self._region, where)
        echoed(meta, "signal_type", SIGNAL, where)
        echoed(meta, "units", UNITS, where)
        return content, where

    def _with_token(self, request: Request) -> Any:
        """The answer; the token is renewed once if it is refused."""
        try:
            return self._fetcher.get(self._login.signed(request))
        except RefusedError as error:
            if error.status != 401:
                raise
        self._login.forget()
        return self._fetcher.get(self._login.signed(request))

    def _values(self, content: Any, where: str, issued_at: datetime | None) -> list[IntensityValue]:
        meta = mapping(content["meta"], where)
        self._pass_on_warnings(meta)
        source = f"{self.name} {_model(meta)}".strip()
        origin = Origin(self.zone, self.kind, self.basis, source, self._wall.now(), issued_at)
        rows = listing(field(content, "data", where), where)
        points = [_point(row, where, issued_at is not None) for row in rows]
        values = clean(points, origin, _step(meta, where))
        if not values:
            raise NoDataError(f"{where}: no values for {self._region}")
        return values

    def _pass_on_warnings(self, meta: Any) -> None:
        for entry in meta.get("warnings") or []:
            text = clip(str(entry.get("message") if isinstance(entry, dict) else entry), 120)
            if text not in self._warned:
                self._warned.add(text)
                log.warning("%s: %s", self.name, text)


def _point(row: Any, where: str, is_forecast: bool) -> Point:
    start = instant(field(row, "point_time", where), where)
    level = number(field(row, "value", where), where)
    level = None if level is None else level * G_PER_KWH
    if is_forecast:
        return Point(start, level, "forecast")
    if row.get("imputed_data_used"):
        return Point(start, level, "estimated", detail="from imputed data")
    return Point(start, level, "measured")


def _model(meta: Any) -> str:
    """The model's date: levels of two models are not comparable."""
    model = meta.get("model")
    return clip(str(model.get("date", "")), 20) if isinstance(model, dict) else ""


def _step(meta: Any, where: str) -> timedelta:
    seconds = number(meta.get("data_point_period_seconds"), where)
    if seconds is None:
        return STEP
    if not 0 < seconds <= 86400:
        raise FormatError(f"{where}: a period of {seconds:g} s is implausible")
    return timedelta(seconds=seconds)


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
