"""The ledger: one row per component and interval, append-only, in SQLite. Reports query it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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


@dataclass
class ComponentTotal:
    energy_kwh: float | None
    source: str
    provenance: str


@dataclass
class Totals:
    """Sums over a run. None is unknown; `duration_s` is metered time, pauses left out."""

    energy_kwh: float | None = None
    emissions_g: float | None = None
    duration_s: float = 0.0
    components: dict[str, ComponentTotal] = field(default_factory=dict)

    @property
    def provenance(self) -> str:
        if self.energy_kwh is None:
            return "unknown"
        kinds = {part.provenance for part in self.components.values()}
        if len(kinds) > 1:
            return "mixed"
        return kinds.pop()

    @property
    def mean_intensity_g_per_kwh(self) -> float | None:
        """Grams per kWh of IT energy, PUE included: weighted by when energy was used."""
        if not self.energy_kwh or self.emissions_g is None:
            return None
        return self.emissions_g / self.energy_kwh


_COLUMNS = [column.name for column in fields(Interval)]
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS intervals (id INTEGER PRIMARY KEY, {", ".join(_COLUMNS)});
CREATE INDEX IF NOT EXISTS intervals_of_run ON intervals (run_id);
"""


class Ledger:
    """Raises ArtifactError where the file cannot be opened, read or written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
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
        totals = Totals()
        for interval in self.intervals(run_id):
            add(totals, interval)
        totals.duration_s = self._duration_s(run_id)
        return totals

    def last_instant(self, run_id: str) -> datetime | None:
        """Where the run's last interval ended."""
        ((last,),) = self._query("SELECT max(ended_at) FROM intervals WHERE run_id = ?", run_id)
        return None if last is None else datetime.fromisoformat(last)

    def _duration_s(self, run_id: str) -> float:
        """Of the component that was metered longest: all are metered side by side."""
        ((longest,),) = self._query(
            "SELECT max(total) FROM (SELECT sum(duration_s) AS total FROM intervals"
            " WHERE run_id = ? GROUP BY component)",
            run_id,
        )
        return float(longest or 0.0)

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


def add(totals: Totals, interval: Interval) -> None:
    """Add one interval's energy and grams; what is once unknown stays so."""
    energy_kwh = None if interval.energy_j is None else interval.energy_j / 3.6e6
    if not totals.components:
        totals.energy_kwh = totals.emissions_g = 0.0
    totals.energy_kwh = _sum(totals.energy_kwh, energy_kwh)
    totals.emissions_g = _sum(totals.emissions_g, interval.emissions_g)
    part = totals.components.setdefault(
        interval.component, ComponentTotal(0.0, interval.source, interval.provenance)
    )
    part.energy_kwh = _sum(part.energy_kwh, energy_kwh)


def _sum(total: float | None, more: float | None) -> float | None:
    return None if total is None or more is None else total + more


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
