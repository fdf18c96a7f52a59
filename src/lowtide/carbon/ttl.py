"""How long an answer counts as fresh, by source and route; see docs/sources.md."""

from datetime import datetime, timedelta
from typing import Literal

Route = Literal["latest", "history", "forecast"]

MINUTE_S = 60.0
TTL_S: dict[str, dict[Route, float]] = {
    "energy-charts": {
        "latest": 20 * MINUTE_S,
        "history": 30 * MINUTE_S,
        "forecast": 20 * MINUTE_S,
    },
    "electricity-maps": {
        "latest": 12 * MINUTE_S,
        "history": 15 * MINUTE_S,
        "forecast": 60 * MINUTE_S,
    },
    "watttime": {"latest": 5 * MINUTE_S, "history": 30 * MINUTE_S, "forecast": 5 * MINUTE_S},
    "carbon-aware-sdk": {
        "latest": 5 * MINUTE_S,
        "history": 30 * MINUTE_S,
        "forecast": 15 * MINUTE_S,
    },
}
WEATHER_TTL_S = 60 * MINUTE_S
MIX_TTL_S = 60 * MINUTE_S
CLOSED_MIX_TTL_S = 120 * 24 * 60 * MINUTE_S  # figures that will not change any more
REFUSED_TTL_S = 7.5 * MINUTE_S  # nothing there, not allowed, not understood
AWAY_TTL_S = 1 * MINUTE_S  # so that a process that comes after does not wait for it once more
JITTER = 0.1  # as a share: many jobs that began together do not refresh together
GB_PUBLISHES_S = 210.0  # after the half hour; over a tenth of it, so that jitter is never too early

STALE_LATEST = timedelta(hours=2)
STALE_FORECAST = timedelta(hours=12)
STALE_WARNING = timedelta(hours=3)
STALE_HISTORY = timedelta(hours=24)  # a model of older history knows nothing of today


def ttl_s(source: str, route: Route, now: datetime) -> float:
    """Seconds from `now`; GB's figures change once in half an hour, just after it."""
    if source == "gb":
        past_s = (now.minute % 30) * 60 + now.second
        return 1800.0 - past_s + GB_PUBLISHES_S
    return TTL_S[source][route]
