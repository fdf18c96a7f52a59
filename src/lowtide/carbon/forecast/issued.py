"""Forecasts as they were issued, kept to be scored against what happened."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lowtide import artifacts
from lowtide.carbon.signal import IntensitySource, IntensityValue
from lowtide.errors import ArtifactError

PATH = artifacts.STATE / "carbon" / "issued.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS issued (
    zone TEXT, source TEXT, kind TEXT, issued_at TEXT, start TEXT, end TEXT,
    mean REAL, low REAL, high REAL,
    PRIMARY KEY (zone, source, kind, issued_at, start)
) WITHOUT ROWID;
"""


def record(forecast: Sequence[IntensityValue], at: datetime, path: Path = PATH) -> None:
    """Keep a forecast; the same one twice is kept once. ArtifactError if it cannot be written."""
    rows = [
        (v.zone, v.source, v.kind, (v.issued_at or at).isoformat(),
         v.start.isoformat(), v.end.isoformat(), v.intensity_g_per_kwh, v.low, v.high)
        for v in forecast
    ]  # fmt: skip
    try:
        with closing(_open(path)) as connection, connection:
            connection.executemany(
                "INSERT OR IGNORE INTO issued VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
    except sqlite3.Error as error:
        raise _unusable(path, error) from None


def score(source: IntensitySource, until: datetime, path: Path = PATH) -> list[dict[str, Any]]:
    """Each kept forecast source of a zone against the measured values, by hours ahead."""
    try:
        with closing(_open(path)) as connection:
            rows = connection.execute(
                "SELECT source, kind, issued_at, start, end, mean, low, high FROM issued"
                " WHERE zone = ? AND end <= ? ORDER BY start",
                (source.zone, until.isoformat()),
            ).fetchall()
    except sqlite3.Error as error:
        raise _unusable(path, error) from None
    if not rows:
        return []
    first = datetime.fromisoformat(rows[0][3])
    measured = [v for v in source.history(first, until) if v.status == "measured"]
    groups: dict[tuple[str, int], list[tuple[float, bool | None]]] = {}
    for name, kind, issued_at, start, end, mean, low, high in rows:
        actual = _mean(measured, datetime.fromisoformat(start), datetime.fromisoformat(end), kind)
        if actual is None:
            continue
        lead = datetime.fromisoformat(start) - datetime.fromisoformat(issued_at)
        ahead = max(int(lead / timedelta(hours=1)) + 1, 1)
        inside = None if low is None else low <= actual <= high
        groups.setdefault((name, ahead), []).append((abs(actual - mean), inside))
    return [
        {
            "source": name,
            "hours_ahead": ahead,
            "num": len(found),
            "mae": sum(error for error, _ in found) / len(found),
            "coverage_80": _share([inside for _, inside in found]),
        }
        for (name, ahead), found in sorted(groups.items())
    ]


def _mean(
    measured: Sequence[IntensityValue], start: datetime, end: datetime, kind: str
) -> float | None:
    """Of the values inside an interval; None unless they cover it."""
    parts = [
        ((min(v.end, end) - max(v.start, start)).total_seconds(), v.intensity_g_per_kwh)
        for v in measured
        if v.kind == kind and v.start < end and v.end > start
    ]
    covered = sum(seconds for seconds, _ in parts)
    if covered < (end - start).total_seconds() - 1:
        return None
    return sum(seconds * level for seconds, level in parts) / covered


def _share(flags: Sequence[bool | None]) -> float | None:
    known = [flag for flag in flags if flag is not None]
    return sum(known) / len(known) if known else None


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=10)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from None
    return connection


def _unusable(path: Path, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"the issued forecasts in {path} cannot be used ({error}): free some disk, or move the "
        "file away if it is broken"
    )
