"""The packaged table of typical profiles (zone x month x UTC hour), for work offline."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError

HOUR = timedelta(hours=1)


class TypicalSource:
    """What the grid of a zone usually emits at this hour of this month; always an estimate."""

    def __init__(self, zone: str) -> None:
        table = _table()
        if zone not in table["zones"]:
            known = ", ".join(sorted(table["zones"]))
            raise CarbonError(
                f"no typical profile for zone {zone}; there are {known}. "
                "Take one, or give a trace: carbon.source: trace, carbon.trace: FILE"
            )
        self.zone = zone
        self.name = f"typical profile {table['version']}"
        self._tables: dict[str, list[list[float]]] = table["zones"][zone]

    def current(self, at: datetime) -> IntensityValue:
        start = at.replace(minute=0, second=0, microsecond=0)
        return IntensityValue(
            self.zone, start, start + HOUR, self._usual("mean", start), "average", "estimated",
            self.name,
        )  # fmt: skip

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        values = []
        while (value := self.current(start)).end <= end:
            values.append(value)
            start = value.end
        return values

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        """The same; the 80 % band runs from the 10th to the 90th percentile of that hour."""
        end = at + timedelta(hours=hours)
        values = []
        while at < end:
            value = self.current(at)
            low, high = self._usual("p10", value.start), self._usual("p90", value.start)
            values.append(replace(value, low=low, high=high))
            at = value.end
        return values

    def _usual(self, statistic: str, start: datetime) -> float:
        return self._tables[f"{statistic}_g_per_kwh"][start.month - 1][start.hour]


@cache
def _table() -> dict[str, Any]:
    text = (resources.files("lowtide.carbon") / "typical_profiles.json").read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table
