"""What a source has said of the past, gathered over time: the history its forecasts rest on."""

import contextlib
import json
import logging
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lowtide.artifacts import write_text
from lowtide.carbon.rows import INTENSITY
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import ArtifactError

SCHEMA = 1
KEPT = timedelta(days=400)
LOCK_S = 5.0  # a process that holds the lock so long is frozen
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    """What the file held when it was last modified at `stamp`; `newest`: of one lineage."""

    stamp: int
    values: list[IntensityValue]
    newest: list[IntensityValue]


class HistoryFile:
    """Past values of one source and zone, ascending; one file, whole or not written.

    Only values that have ended and are no forecasts go in. A later figure for an interval replaces
    an earlier one, but an estimate never replaces a measurement.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _Known(0, [], [])
        self._threads = threading.Lock()

    def read(self) -> list[IntensityValue]:
        """All values of the newest lineage; empty if there is no file or a broken one."""
        return self._now_known().newest

    def between(self, start: datetime, end: datetime) -> list[IntensityValue]:
        """Those that began at or after `start` and had ended by `end`."""
        values = self.read()
        first = bisect_left(values, start, key=lambda value: value.start)
        last = bisect_right(values, end, key=lambda value: value.end)
        return values[first:last]

    def add(self, values: Sequence[IntensityValue], now: datetime) -> None:
        """Take in what has ended by `now`; a disk that cannot be written is only warned of."""
        past = [v for v in values if v.end <= now and v.status != "forecast"]
        with self._locked():
            before = self._now_known().values
            merged = _merged(before, past, now - KEPT)
            if not merged or merged == before:
                return
            try:
                write_text(self._path, json.dumps(_content(merged), allow_nan=False))
                self._known = _known(self._path.stat().st_mtime_ns, merged)
            except (ArtifactError, OSError) as error:
                log.warning("carbon history is not kept: %s", error)

    def _now_known(self) -> "_Known":
        """Read anew only where another process has written: a year of values takes a second."""
        try:
            stamp = self._path.stat().st_mtime_ns
        except OSError:
            return _Known(0, [], [])
        if self._known.stamp != stamp:
            self._known = _known(stamp, self._load())
        return self._known

    def _load(self) -> list[IntensityValue]:
        try:
            content = json.loads(self._path.read_text("utf-8"))
            if content["schema"] != SCHEMA:
                return []
            shared = content["shared"]
            return [INTENSITY.decode({**shared, **_fields(row)}) for row in content["rows"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            log.warning("%s is broken: its history is begun anew", self._path)
            return []

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self._path.with_suffix(".lock"))
        with self._threads:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=LOCK_S)
            except (OSError, Timeout):
                yield  # nothing can be written, or the holder is frozen: better twice than never
                return
            try:
                yield
            finally:
                lock.release()


def _merged(
    before: Sequence[IntensityValue], new: Sequence[IntensityValue], oldest: datetime
) -> list[IntensityValue]:
    by_start = {value.start: value for value in before}
    for value in new:
        known = by_start.get(value.start)
        keep = known is not None and known.status == "measured" and value.status != "measured"
        if not keep and not (known and _same(known, value)):
            by_start[value.start] = value
    ordered = [by_start[start] for start in sorted(by_start) if by_start[start].end > oldest]
    return _disjoint(ordered)


def _same(one: IntensityValue, other: IntensityValue) -> bool:
    """Equal but for the moment it was fetched: not worth a write."""
    return one == replace(other, fetched_at=one.fetched_at)


def _disjoint(values: Sequence[IntensityValue]) -> list[IntensityValue]:
    """No value reaches into the next: a source may have changed its step."""
    cut: list[IntensityValue] = []
    for value in values:
        if cut and cut[-1].end > value.start:
            cut[-1] = replace(cut[-1], end=value.start)
        cut.append(value)
    return cut


def lineage(value: IntensityValue) -> str:
    """Source and model: WattTime's levels shift with its model, and two are never joined."""
    return value.source.partition(",")[0]


def _known(stamp: int, values: list[IntensityValue]) -> _Known:
    return _Known(stamp, values, [v for v in values if lineage(v) == lineage(values[-1])])


def _content(values: Sequence[IntensityValue]) -> dict[str, Any]:
    first = values[0]
    shared = {"zone": first.zone, "kind": first.kind, "basis": first.basis}
    rows = [
        [v.start.isoformat(), v.end.isoformat(), v.intensity_g_per_kwh, v.status, v.source,
         v.fetched_at.isoformat() if v.fetched_at else None]
        for v in values
    ]  # fmt: skip
    return {"schema": SCHEMA, "shared": shared, "rows": rows}


def _fields(row: list[Any]) -> dict[str, Any]:
    start, end, level, status, source, fetched_at = row
    fields = {"start": start, "end": end, "intensity_g_per_kwh": level, "status": status,
              "source": source}  # fmt: skip
    return fields if fetched_at is None else {**fields, "fetched_at": fetched_at}
