"""Forecasts as they were issued, kept to be scored against what happened."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.carbon.forecast.conformal import conformal_width
from lowtide.carbon.forecast.hourly import floor_hour
from lowtide.carbon.forecast.step_function import StepFunction
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import ArtifactError

NAME = "forecasts.db"  # in the folder of what is known of the grid
KEPT = timedelta(days=120)
RECENT = timedelta(days=28)  # over whose errors a band is taken
ENOUGH = 48  # errors that a band needs
LEADS = (2, 6, 12, 24, 48, 96, 400)  # hours ahead up to which errors are taken together
METHODS = ("ridge", "usual day", "last value persisted")  # of forecasts from history
_SCHEMA = """
CREATE TABLE IF NOT EXISTS issued (
    zone TEXT, source TEXT, kind TEXT, issued_s REAL, start_s REAL, end_s REAL,
    mean REAL, low REAL, high REAL,
    PRIMARY KEY (zone, source, kind, issued_s, start_s)
) WITHOUT ROWID;
"""


class IssuedFile:
    """One SQLite file of forecasts, at most one an hour of each source and zone.

    Every method raises ArtifactError where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, forecast: Sequence[IntensityValue], now: datetime) -> None:
        if not forecast:
            return
        first = forecast[0]
        issued = first.issued_at or now
        hour_s = floor_hour(issued).timestamp()
        series = (first.zone, _name(first.source), first.kind)
        rows = [
            (*series, issued.timestamp(), v.start.timestamp(), v.end.timestamp(),
             v.intensity_g_per_kwh, v.low, v.high)
            for v in forecast
        ]  # fmt: skip
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")  # two processes may ask in the same moment
            known = connection.execute(
                "SELECT 1 FROM issued WHERE zone = ? AND source = ? AND kind = ?"
                " AND issued_s >= ? AND issued_s < ? LIMIT 1",
                (*series, hour_s, hour_s + 3600),
            ).fetchone()
            if known:
                return
            connection.execute("DELETE FROM issued WHERE end_s < ?", ((now - KEPT).timestamp(),))
            connection.executemany("INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def first_start(self, zone: str) -> datetime | None:
        """From when on measured values are needed to score the forecasts of a zone."""
        with self._connection() as connection:
            (start_s,) = connection.execute(
                "SELECT min(start_s) FROM issued WHERE zone = ?", (zone,)
            ).fetchone()
        return None if start_s is None else datetime.fromtimestamp(start_s, UTC)

    def score(self, zone: str, past: Sequence[IntensityValue]) -> list[dict[str, Any]]:
        """Each source of a zone against what happened, by hours ahead."""
        measured, scores = _measured(past), []
        for source in self._sources(zone, measured):
            ahead, error, inside = self._errors(zone, source, measured, 0.0)
            for hours in np.unique(ahead):
                at = ahead == hours
                known = inside[at][np.isfinite(inside[at])]
                scores.append(
                    {
                        "source": source,
                        "hours_ahead": int(hours),
                        "num": int(at.sum()),
                        "mae": float(np.abs(error[at]).mean()),
                        "coverage_80": float(known.mean()) if len(known) else None,
                    }
                )
        return scores

    def half_widths(
        self, zone: str, source: str, past: Sequence[IntensityValue], at: datetime
    ) -> np.ndarray:
        """Half the 80 % band of a source's forecasts by hours ahead, [max(LEADS) + 1], from what
        it was wrong by in four weeks (split conformal prediction); NaN with too few errors."""
        recent = [value for value in past if value.end > at - RECENT]
        ahead, error, _ = self._errors(zone, source, _measured(recent), (at - RECENT).timestamp())
        widths = np.full(LEADS[-1] + 1, np.nan)
        for after, until in zip((-1, *LEADS), LEADS, strict=False):
            errors = error[(ahead > after) & (ahead <= until)]
            widths[after + 1 : until + 1] = conformal_width(errors, ENOUGH)
        return widths

    def _sources(self, zone: str, measured: Sequence[IntensityValue]) -> list[str]:
        if not measured:
            return []
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT DISTINCT source FROM issued WHERE zone = ? AND kind = ? ORDER BY source",
                (zone, measured[0].kind),
            )
            return [source for (source,) in rows]

    def _errors(
        self, zone: str, source: str, measured: Sequence[IntensityValue], since_s: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(hours ahead, actual - forecast, within the band or not, NaN without one), each [n], of
        the intervals issued since then that the measured values cover."""
        if not measured:
            return np.empty(0), np.empty(0), np.empty(0)
        actual = StepFunction.of(measured)
        with self._connection() as connection:
            found = connection.execute(
                "SELECT issued_s, start_s, end_s, mean, low, high FROM issued"
                " WHERE zone = ? AND source = ? AND kind = ? AND issued_s >= ? AND end_s <= ?",
                (zone, _name(source), measured[0].kind, since_s, measured[-1].end.timestamp()),
            ).fetchall()
        issued_s, start_s, end_s, mean, low, high = np.array(found, float).reshape(-1, 6).T
        level = actual.means(start_s, end_s)
        known = np.isfinite(level)
        ahead = np.maximum((start_s - issued_s) // 3600 + 1, 1)
        inside = np.where(np.isfinite(low), (low <= level) & (level <= high), np.nan)
        return ahead[known], (level - mean)[known], inside[known]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(_SCHEMA)
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise ArtifactError(
                f"the issued forecasts in {self._path} cannot be used ({error}): free some disk, "
                "or move the file away if it is broken"
            ) from None


def _measured(past: Sequence[IntensityValue]) -> list[IntensityValue]:
    """All where the source measures nothing (GB's regions): then what it last estimated counts."""
    measured = [value for value in past if value.status == "measured"]
    return measured or list(past)


def _name(source: str) -> str:
    """Without what a source says of single values, such as that the last was carried on."""
    first, _, rest = source.partition(", ")
    how = rest.rpartition(", ")[2]
    return f"{first}, {how}" if how in METHODS else first
