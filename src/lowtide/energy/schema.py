"""The ledger's tables: intervals, which are only ever appended, and their sums by run.

The sums are kept by the database in the same transaction as the rows: a run's totals cost the same
however long it was, and cannot differ from its rows.
"""

import sqlite3
from collections.abc import Sequence

VERSION = 2  # 1 had neither sums nor the age of an intensity

_SUMS = """
CREATE TABLE IF NOT EXISTS sums (
    run_id, component, energy_j, emissions_g, duration_s, ended_at, source, provenance,
    PRIMARY KEY (run_id, component)
) WITHOUT ROWID
"""
_ADD_UP = """
CREATE TRIGGER IF NOT EXISTS add_up AFTER INSERT ON intervals BEGIN
    INSERT INTO sums VALUES (
        NEW.run_id, NEW.component, NEW.energy_j, NEW.emissions_g, NEW.duration_s, NEW.ended_at,
        NEW.source, NEW.provenance
    ) ON CONFLICT (run_id, component) DO UPDATE SET
        energy_j = energy_j + excluded.energy_j,
        emissions_g = emissions_g + excluded.emissions_g,
        duration_s = duration_s + excluded.duration_s,
        ended_at = max(ended_at, excluded.ended_at);
END
"""
_APPEND_ONLY = """
CREATE TRIGGER IF NOT EXISTS no_{verb} BEFORE {verb} ON intervals BEGIN
    SELECT RAISE(ABORT, 'the ledger is only ever appended to');
END
"""


def prepare(connection: sqlite3.Connection, columns: Sequence[str]) -> None:
    """Make the tables, or bring those of an earlier version up to date; all of it or nothing.

    Raises:
        sqlite3.Error: also where the file is of a later version.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found == VERSION:
        return
    if found > VERSION:
        raise sqlite3.DatabaseError(f"made by a newer lowtide, version {found} of the ledger")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS intervals (id INTEGER PRIMARY KEY, {', '.join(columns)})"
        )
        known = {row[1] for row in connection.execute("PRAGMA table_info(intervals)")}
        for column in columns:
            if column not in known:
                connection.execute(f"ALTER TABLE intervals ADD COLUMN {column}")
        connection.execute("CREATE INDEX IF NOT EXISTS intervals_of_run ON intervals (run_id)")
        _add_sums(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _add_sums(connection: sqlite3.Connection) -> None:
    """With the sums of what is there already."""
    (exists,) = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name = 'sums'"
    ).fetchone()
    connection.execute(_SUMS)
    if not exists:
        connection.execute(
            "INSERT INTO sums SELECT run_id, component,"
            " CASE WHEN count(energy_j) = count(*) THEN sum(energy_j) END,"
            " CASE WHEN count(emissions_g) = count(*) THEN sum(emissions_g) END,"
            " sum(duration_s), max(ended_at), source, provenance"
            " FROM (SELECT * FROM intervals ORDER BY id) GROUP BY run_id, component"
        )
    connection.execute(_ADD_UP)
    for verb in ("update", "delete"):
        connection.execute(_APPEND_ONLY.format(verb=verb))
