"""The ledger's tables: intervals, which are only ever appended, and their sums by run; and trials,
which are only ever appended, too.

The sums are kept by the database in the same transaction as the rows: a run's totals cost the same
however long it was, and cannot differ from its rows.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from lowtide.errors import ArtifactError

# 1 had neither sums nor the age of an intensity, 2 had no trials, in 3 the sums did not tell work
# from waiting, in 4 trials had no power profile.
VERSION = 5

# `span` names the last interval: its components are metered side by side, their time counts once.
_TABLES = (
    "CREATE INDEX IF NOT EXISTS intervals_of_run ON intervals (run_id)",
    """
    CREATE TABLE IF NOT EXISTS sums (
        run_id, component, parked, energy_j, emissions_g, source, provenance,
        PRIMARY KEY (run_id, component, parked)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS spans (
        run_id PRIMARY KEY, duration_s, parked_s, ended_at, span
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS trials (
        id INTEGER PRIMARY KEY,
        job NOT NULL, batch_size NOT NULL, power_limit_w, energy_j, duration_s NOT NULL,
        emissions_g, converged NOT NULL, started_at NOT NULL, power_profile,
        UNIQUE (job, started_at)
    )
    """,
)
_TRIGGERS = (
    """
    CREATE TRIGGER IF NOT EXISTS add_up AFTER INSERT ON intervals BEGIN
        INSERT INTO sums VALUES (
            NEW.run_id, NEW.component, NEW.parked, NEW.energy_j, NEW.emissions_g, NEW.source,
            NEW.provenance
        ) ON CONFLICT (run_id, component, parked) DO UPDATE SET
            energy_j = energy_j + excluded.energy_j,
            emissions_g = emissions_g + excluded.emissions_g;
        INSERT INTO spans VALUES (
            NEW.run_id, NEW.duration_s, iif(NEW.parked, NEW.duration_s, 0.0), NEW.ended_at,
            NEW.started_at || NEW.ended_at || NEW.duration_s
        ) ON CONFLICT (run_id) DO UPDATE SET
            duration_s = duration_s + iif(span = excluded.span, 0.0, excluded.duration_s),
            parked_s = parked_s + iif(span = excluded.span, 0.0, excluded.parked_s),
            ended_at = max(ended_at, excluded.ended_at),
            span = excluded.span;
    END
    """,
    *(
        f"""
        CREATE TRIGGER IF NOT EXISTS {name} BEFORE {change} ON {table} BEGIN
            SELECT RAISE(ABORT, 'the ledger is only ever appended to');
        END
        """
        for name, change, table in (
            ("no_update", "UPDATE", "intervals"),
            ("no_delete", "DELETE", "intervals"),
            ("no_update_of_trials", "UPDATE", "trials"),
            ("no_delete_of_trials", "DELETE", "trials"),
        )
    ),
)
_SUMMED = (
    "DROP TRIGGER IF EXISTS add_up", "DROP TABLE IF EXISTS sums", "DROP TABLE IF EXISTS spans",
)  # fmt: skip
# A component's source and provenance are those of its first row.
_ADD_UP_WHAT_IS_THERE = (
    """
    INSERT INTO sums SELECT grouped.run_id, grouped.component, grouped.parked,
        CASE WHEN known_j = num THEN sum_j END, CASE WHEN known_g = num THEN sum_g END,
        first.source, first.provenance
    FROM (
        SELECT run_id, component, parked, min(id) AS first_id, count(*) AS num,
            count(energy_j) AS known_j, sum(energy_j) AS sum_j,
            count(emissions_g) AS known_g, sum(emissions_g) AS sum_g
        FROM intervals GROUP BY run_id, component, parked
    ) AS grouped JOIN intervals AS first ON first.id = first_id
    """,
    """
    INSERT INTO spans SELECT
        run_id, sum(duration_s), sum(iif(parked, duration_s, 0.0)), max(ended_at), ''
    FROM (SELECT DISTINCT run_id, started_at, ended_at, duration_s, parked FROM intervals)
    GROUP BY run_id
    """,
)


def prepare(connection: sqlite3.Connection, path: Path, columns: Sequence[str]) -> None:
    """Make the tables, or bring those of an earlier version up to date; all of it or nothing.

    Raises:
        ArtifactError: the file is of a later version.
        sqlite3.Error: it is broken, locked, or cannot be written.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found == VERSION:
        return
    if found > VERSION:
        raise ArtifactError(
            f"the energy ledger {path} was made by a newer lowtide (version {found} of the "
            f"ledger, {VERSION} is known here): update lowtide"
        )
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS intervals (id INTEGER PRIMARY KEY, {', '.join(columns)})"
        )
        _add_columns(connection, "intervals", columns)
        for statement in _SUMMED + _TABLES:
            connection.execute(statement)
        _add_columns(connection, "trials", ["power_profile"])
        for statement in _ADD_UP_WHAT_IS_THERE + _TRIGGERS:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _add_columns(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
    """Those that the table does not have yet."""
    known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    for column in columns:
        if column not in known:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
