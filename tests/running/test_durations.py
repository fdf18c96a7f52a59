"""Durations are read as people write them, and a bad one is named with its option."""

from datetime import timedelta

import pytest

from lowtide.errors import UsageError
from lowtide.running.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "hours"),
    [("24h", 24), ("90m", 1.5), ("1h30m", 1.5), ("45s", 45 / 3600), ("6", 6), ("0.5", 0.5),
     ("1d12h", 36), (" 2H ", 2), ("1.5h", 1.5)],
)  # fmt: skip
def test_a_duration(text: str, hours: float) -> None:
    assert parse_duration(text, "--work") == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "soon", "0", "0h", "-3h", "3x", "30m1h", "1e9", "9" * 400])
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--work"):
        parse_duration(text, "--work")
