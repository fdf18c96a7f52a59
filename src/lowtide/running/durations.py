"""Durations as people write them: 24h, 1h30m, 90m, 45s."""

import re
from datetime import timedelta

from lowtide.errors import UsageError

_NUMBER = r"\d+(?:\.\d+)?"
_UNITS = ("days", "hours", "minutes", "seconds")
_PARTS = re.compile("".join(f"(?:(?P<{unit}>{_NUMBER}){unit[0]})?" for unit in _UNITS))
LONGEST = timedelta(days=366)


def parse_duration(text: str, option: str, bare: str = "h") -> timedelta:
    """A bare number is in the unit `bare`.

    Raises UsageError, naming the option, where the text is no duration of up to a year."""
    spoken = text.strip().lower()
    if re.fullmatch(_NUMBER, spoken):
        spoken += bare
    found = _PARTS.fullmatch(spoken)
    parts = {unit: float(part or 0) for unit, part in found.groupdict().items()} if found else {}
    if sum(parts.values()) > LONGEST.total_seconds():
        parts = {}
    duration = timedelta(**parts)
    if not timedelta() < duration <= LONGEST:
        raise UsageError(
            f"{option} {text!r} is no duration between 0 and a year: write 24h, 1h30m or 45s"
        )
    return duration
