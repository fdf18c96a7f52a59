"""Long ranges in pieces that an API answers in one request."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from lowtide.carbon.failures import NoDataError
from lowtide.carbon.signal import IntensityValue

Range = tuple[datetime, datetime]


def pieces(start: datetime, end: datetime, longest: timedelta) -> Iterator[Range]:
    """[start, end) in pieces of at most `longest`, none across a new year (UTC)."""
    while start < end:
        new_year = datetime(start.year + 1, 1, 1, tzinfo=UTC)
        last = min(start + longest, new_year, end)
        yield start, last
        start = last


def gather(
    ranges: Iterator[Range], load: Callable[[datetime, datetime], list[IntensityValue]]
) -> list[IntensityValue]:
    """What `load` gives for each range; a range without data is skipped.

    Raises:
        NoDataError: no range has any.
    """
    values: list[IntensityValue] = []
    nothing = NoDataError("an empty range of time has no intensity")
    for start, end in ranges:
        try:
            values += [v for v in load(start, end) if start <= v.start < end]
        except NoDataError as error:
            nothing = error
    if not values:
        raise nothing
    return values
