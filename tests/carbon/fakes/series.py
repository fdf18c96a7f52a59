"""A grid that exists nowhere: dirty in the evening, with noise that a seed fixes."""

import math
import random
from datetime import datetime, timedelta


class Series:
    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def g_per_kwh(self, start: datetime) -> int:
        hours = start.timestamp() / 3600
        noise = random.Random(f"{self._seed}-{int(start.timestamp())}").uniform(-15, 15)
        return round(200 + 80 * math.sin((hours - 12) * math.pi / 12) + noise)


def starts(first: datetime, last: datetime, step: timedelta) -> list[datetime]:
    """`first`, one step on, ... before `last`."""
    found = []
    while first < last:
        found.append(first)
        first += step
    return found


def floor(instant: datetime, step: timedelta) -> datetime:
    seconds = int(instant.timestamp() // step.total_seconds() * step.total_seconds())
    return datetime.fromtimestamp(seconds, instant.tzinfo)
