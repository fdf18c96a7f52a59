"""Carbon intensity as values with provenance, and the protocol of whatever gives them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from lowtide.errors import CarbonError

Kind = Literal["average", "marginal"]
Basis = Literal["lifecycle", "direct", "operational", "unknown"]
Status = Literal["measured", "forecast", "estimated"]
# How far the chain of sources had to fall for a value, best first.
Rung = Literal["provider", "second provider", "stale cache", "profile", "annual", "constant"]


@dataclass(frozen=True)
class IntensityValue:
    """One UTC interval [start, end) of one zone, in gCO2e/kWh.

    `issued_at` is when a forecast was made, `fetched_at` when a value came over the wire; both are
    None for values from a file.
    """

    zone: str
    start: datetime
    end: datetime
    intensity_g_per_kwh: float
    kind: Kind
    status: Status
    source: str
    basis: Basis = "unknown"
    rung: Rung = "provider"
    issued_at: datetime | None = None
    fetched_at: datetime | None = None
    low: float | None = None  # of a forecast: the 80 % band
    high: float | None = None


class IntensitySource(Protocol):
    zone: str
    name: str

    def current(self, at: datetime) -> IntensityValue:
        """The value that holds at an instant. CarbonError where it is unknown."""

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        """The values that ended at or before `end` and began at or after `start`."""

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        """Values covering [at, at + hours) as far as known, from what had ended by `at` only."""


def intensity_at(source: IntensitySource, at: datetime) -> float | None:
    """g/kWh at an instant; None where it is unknown."""
    try:
        return source.current(at).intensity_g_per_kwh
    except CarbonError:
        return None
