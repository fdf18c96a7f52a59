"""What every live source of carbon intensity gives; one module for each API."""

from datetime import datetime
from typing import Protocol

from lowtide.carbon.signal import Basis, IntensityValue, Kind


class Provider(Protocol):
    """Asks its API anew at every call; caching is the caller's.

    `now` is the wall clock's. All three raise FetchError (see failures.py); an answer without a
    single usable value is a NoDataError.
    """

    key: str  # in params.yaml, in cache files
    zone: str
    name: str
    attribution: str  # what its licence wants to be said beside its figures
    kind: Kind
    basis: Basis
    one_answer: bool  # `latest` and `forecast` are one and the same request

    def latest(self, now: datetime, /) -> list[IntensityValue]:
        """The newest hours, with the running interval where it is known."""

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        """Actual values of [start, end), as far back as the API goes; at least one."""

    def forecast(self, now: datetime, /) -> list[IntensityValue]:
        """From `now` on as far as the API sees."""
