"""Carbon intensity as values with provenance, and the protocol of whatever gives them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol


@dataclass(frozen=True)
class IntensityValue:
    """One UTC interval of one zone, in gCO2e/kWh."""

    zone: str
    start: datetime
    end: datetime
    intensity_g_per_kwh: float
    kind: Literal["average", "marginal"]
    status: Literal["measured", "forecast", "estimated"]
    source: str


class IntensitySource(Protocol):
    zone: str
    name: str

    def current(self, at: datetime) -> IntensityValue:
        """The value that holds at an instant. CarbonError where it is unknown."""

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        """The values that ended at or before `end` and began at or after `start`."""

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        """Hourly values from `at` on, made from what had ended by `at` only."""
