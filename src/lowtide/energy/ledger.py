"""The ledger: one row per component and interval, append-only, in SQLite. Reports query it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lowtide.energy.schema import prepare
from lowtide.energy.totals import Totals
from lowtide.errors import ArtifactError


@dataclass(frozen=True)
class Interval:
    """Joules of one component between two instants of the clock; grams include the PUE.

    `energy_j` is None where the component had been metered before and could not be read any more.
    """

    run_id: str
    stage: str
    component: str
    started_at: datetime
    ended_at: datetime
    duration_s: float  # of the wall; a replayed clock runs faster
    energy_j: float | None
    source: str
    provenance: str
    intensity_g_per_kwh: float | None
    intensity_source: str | None
    pue: float
    emissions_g: float | None
    replay: bool
    parked: bool  # waiting for clean power: the joules count, the work stands still
    intensity_age_s: float | None = None  # since it came over the wire; None from a file


@dataclass(frozen=True)
class _Sum:
    """A component's row of `sums`."""

    component: str
    energy_j: float | None
    emissions_g: float | None
    source: str
    provenance: str


_COLUMNS = [column.name for column in fields(Interval)]


class Ledger:
    """Raises ArtifactError where the file cannot be opened, read or written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            prepare(self._connection, path, _COLUMNS)
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def append(self, intervals: Sequence[Interval]) -> None:
        """All of them or none."""
        marks = ", ".join("?" for _ in _COLUMNS)
        statement = f"INSERT INTO intervals ({', '.join(_COLUMNS)}) VALUES ({marks})"
        try:
            with self._connection:
                self._connection.executemany(statement, [_row(i) for i in intervals])
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def intervals(self, run_id: str) -> list[Interval]:
        columns = ", ".join(_COLUMNS)
        rows = self._query(f"SELECT {columns} FROM intervals WHERE run_id = ? ORDER BY id", run_id)
        return [_interval(row) for row in rows]

    def totals(self, run_id: str) -> Totals:
        """In the time that one row takes per component, however long the run."""
        totals = Totals()
        rows = self._query(
            "SELECT component, energy_j, emissions_g, source, provenance FROM sums"
            " WHERE run_id = ?",
            run_id,
        )
        for row in rows:
            totals.add(_Sum(*row))
        for (duration_s,) in self._query("SELECT duration_s FROM spans WHERE run_id = ?", run_id):
            totals.duration_s = duration_s
        return totals

    def last_instant(self, run_id: str) -> datetime | None:
        """Where the run's last interval ended."""
        rows = self._query("SELECT ended_at FROM spans WHERE run_id = ?", run_id)
        return datetime.fromisoformat(rows[0][0]) if rows else None

    def _query(self, statement: str, run_id: str) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, (run_id,)).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> ArtifactError:
        return ArtifactError(
            f"the energy ledger {self._path} cannot be used ({error}): free some disk, or move "
            "the file away if it is broken"
        )


def _row(interval: Interval) -> tuple[object, ...]:
    return tuple(
        value.isoformat() if isinstance(value, datetime) else value for value in astuple(interval)
    )


def _interval(row: tuple[object, ...]) -> Interval:
    content = dict(zip(_COLUMNS, row, strict=True))
    for key in ("started_at", "ended_at"):
        content[key] = datetime.fromisoformat(str(content[key]))
    for key in ("replay", "parked"):
        content[key] = bool(content[key])
    return Interval(**content)  # type: ignore[arg-type]
