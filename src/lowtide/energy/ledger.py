"""The ledger: one row per component and interval, append-only, in SQLite. Reports query it.

Beside them the trials of jobs that come again, one row a run.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    duration_s: float  # of the wall; a replayed clock runs faster, a system's may be set
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
class TrialRow:
    """One whole run of a job that comes again. Joules and grams are None where they are unknown,
    the limit where there was none or not one throughout. `converged`: it reached its target.
    `power_profile`: what its GPUs draw and deliver at each limit, as JSON, where it was measured.
    """

    job: str
    batch_size: int
    power_limit_w: float | None
    energy_j: float | None
    duration_s: float
    emissions_g: float | None
    converged: bool
    started_at: datetime
    power_profile: str | None = None


@dataclass(frozen=True)
class LedgerRun:
    """A run that the ledger knows, from its first interval to the end of its last."""

    run_id: str
    stage: str
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True)
class _Sum:
    """A row of `sums`."""

    component: str
    energy_j: float | None
    emissions_g: float | None
    source: str
    provenance: str
    parked: bool


_COLUMNS = [column.name for column in fields(Interval)]
_OF_TRIALS = [column.name for column in fields(TrialRow)]


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
        self._insert("intervals", _COLUMNS, [_row(one) for one in intervals])

    def append_trial(self, trial: TrialRow) -> None:
        """Once: the trial of a job that began at the same instant is there already."""
        self._insert(
            "trials", _OF_TRIALS, [_row(trial)], "ON CONFLICT (job, started_at) DO NOTHING"
        )

    def trials(self, job: str) -> list[TrialRow]:
        """In the order in which they were appended."""
        columns = ", ".join(_OF_TRIALS)
        rows = self._query(f"SELECT {columns} FROM trials WHERE job = ? ORDER BY id", job)
        return [TrialRow(**_fields(_OF_TRIALS, row)) for row in rows]

    def intervals(self, run_id: str) -> list[Interval]:
        return list(self.each_interval(run_id))

    def each_interval(self, run_id: str) -> Iterator[Interval]:
        """In the order in which they were written, however many there are."""
        columns = ", ".join(_COLUMNS)
        statement = f"SELECT {columns} FROM intervals WHERE run_id = ? ORDER BY id"
        try:
            for row in self._connection.execute(statement, (run_id,)):
                yield Interval(**_fields(_COLUMNS, row))
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def runs(self) -> list[LedgerRun]:
        """In the order of their first intervals."""
        rows = self._query(
            "SELECT spans.run_id, stage, started_at, spans.ended_at FROM spans JOIN intervals"
            " ON id = (SELECT min(id) FROM intervals WHERE run_id = spans.run_id) ORDER BY id"
        )
        return [
            LedgerRun(run_id, stage, datetime.fromisoformat(start), datetime.fromisoformat(end))
            for run_id, stage, start, end in rows
        ]

    def energy_by_pue(self, run_id: str) -> list[tuple[str, float, float | None]]:
        """(component, PUE, joules), the joules None where some are unknown."""
        return self._query(
            "SELECT component, pue, CASE WHEN count(energy_j) = count(*) THEN sum(energy_j) END"
            " FROM intervals WHERE run_id = ? GROUP BY component, pue",
            run_id,
        )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read inside is of one instant, whoever writes meanwhile."""
        try:
            self._connection.execute("BEGIN")
        except sqlite3.Error as error:
            raise self._failure(error) from None
        try:
            yield
        finally:
            self._connection.rollback()

    def totals(self, run_id: str) -> Totals:
        """In the time that two rows take per component, however long the run."""
        totals = Totals()
        rows = self._query(
            "SELECT component, energy_j, emissions_g, source, provenance, parked FROM sums"
            " WHERE run_id = ?",
            run_id,
        )
        for row in rows:
            totals.add(_Sum(*row))
        spans = self._query("SELECT duration_s, parked_s FROM spans WHERE run_id = ?", run_id)
        for durations in spans:
            totals.duration_s, totals.parked_s = durations
        return totals

    def first_instant(self, run_id: str) -> datetime | None:
        """Where the run's first interval began; it stays so whatever is done to the clock."""
        rows = self._query(
            "SELECT started_at FROM intervals WHERE run_id = ? ORDER BY id LIMIT 1", run_id
        )
        return datetime.fromisoformat(rows[0][0]) if rows else None

    def oldest_intensity_s(self, run_id: str) -> float | None:
        """The age of the oldest intensity that came over a network; None where none did."""
        rows = self._query("SELECT max(intensity_age_s) FROM intervals WHERE run_id = ?", run_id)
        age_s: float | None = rows[0][0]
        return age_s

    def last_instant(self, run_id: str) -> datetime | None:
        """The latest at which an interval of the run ended."""
        rows = self._query("SELECT ended_at FROM spans WHERE run_id = ?", run_id)
        return datetime.fromisoformat(rows[0][0]) if rows else None

    def _query(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[tuple[object, ...]],
        or_else: str = "",
    ) -> None:
        marks = ", ".join("?" for _ in columns)
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) {or_else}"
        try:
            with self._connection:
                self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> ArtifactError:
        return ArtifactError(
            f"the energy ledger {self._path} cannot be used ({error}): free some disk, or move "
            "the file away if it is broken"
        )


def _row(record: Interval | TrialRow) -> tuple[object, ...]:
    return tuple(
        value.isoformat() if isinstance(value, datetime) else value for value in astuple(record)
    )


def _fields(columns: Sequence[str], row: tuple[Any, ...]) -> dict[str, Any]:
    """SQLite knows neither times nor truth values."""
    content = dict(zip(columns, row, strict=True))
    for key in content.keys() & {"started_at", "ended_at"}:
        content[key] = datetime.fromisoformat(content[key])
    for key in content.keys() & {"replay", "parked", "converged"}:
        content[key] = bool(content[key])
    return content
