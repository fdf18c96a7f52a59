"""A grid that stays as it is, until it is lost."""

from datetime import datetime, timedelta

from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError


class FixedGrid:
    zone, name = "XX", "fixed"

    def __init__(self, intensity_g_per_kwh: float | None) -> None:
        self.intensity_g_per_kwh = intensity_g_per_kwh

    def current(self, at: datetime) -> IntensityValue:
        if self.intensity_g_per_kwh is None:
            raise CarbonError("nobody knows")
        return IntensityValue(
            self.zone, at, at + timedelta(hours=1), self.intensity_g_per_kwh,
            "average", "measured", self.name,
        )  # fmt: skip

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return []

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        return []
