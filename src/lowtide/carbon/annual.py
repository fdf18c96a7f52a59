"""The mean of a year for each country: the last thing known of a zone.

annual.csv is made by scripts/make_annual_table.py; it comes from Our World in Data (Ember) under
CC BY 4.0, which wants to be named beside the figure.
"""

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources

from lowtide.carbon.clean import HOUR
from lowtide.carbon.signal import Basis, IntensityValue
from lowtide.errors import CarbonError


@dataclass(frozen=True)
class AnnualMean:
    country: str  # ISO 3166-1 alpha-2
    intensity_g_per_kwh: float
    year: int
    source: str
    licence: str


class FlatSource:
    """The same value for ever: every start emits alike, so work runs at once."""

    def __init__(self, zone: str, intensity_g_per_kwh: float, name: str, basis: Basis) -> None:
        self.zone, self.name = zone, name
        self._level, self._basis = intensity_g_per_kwh, basis

    def current(self, at: datetime) -> IntensityValue:
        return self.forecast(at, 1.0)[0]

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        start = at.replace(minute=0, second=0, microsecond=0)
        end = at + timedelta(hours=hours)
        values = []
        while start < end:
            values.append(
                IntensityValue(
                    self.zone, start, start + HOUR, self._level, "average", "estimated", self.name,
                    self._basis,
                )
            )  # fmt: skip
            start += HOUR
        return values


def annual_source(zone: str) -> FlatSource:
    """The mean of the zone's country, by what stands before the first hyphen.

    Raises:
        CarbonError: the zone names no country of the table.
    """
    mean = _table().get(zone.partition("-")[0].upper())
    if mean is None:
        raise CarbonError(f"zone {zone} names no country of the annual table")
    name = f"annual mean {mean.year} of {mean.country} ({mean.source}, {mean.licence})"
    return FlatSource(zone, mean.intensity_g_per_kwh, name, "lifecycle")


@cache
def _table() -> dict[str, AnnualMean]:
    text = (resources.files("lowtide.carbon") / "annual.csv").read_text("utf-8")
    return {
        row["country"]: AnnualMean(
            row["country"], float(row["g_per_kwh"]), int(row["year"]), row["source"],
            row["licence"],
        )
        for row in csv.DictReader(text.splitlines())
    }  # fmt: skip
