"""The ledger keeps rows and their sums together, whatever the file was made by."""

import sqlite3
from dataclasses import astuple, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.energy.ledger import Interval, Ledger
from lowtide.errors import ArtifactError

NOON = datetime(2022, 1, 1, 12, tzinfo=UTC)
CPU = Interval(
    "run", "train", "cpu0", NOON, NOON + timedelta(seconds=1), 1.0, 7.2e6, "rapl counter",
    "measured", 100.0, "step", 1.0, 200.0, replay=False, parked=False,
)  # fmt: skip
RAM = replace(CPU, component="ram0", energy_j=3.6e6, emissions_g=100.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def later(interval: Interval, seconds: int) -> Interval:
    shift = timedelta(seconds=seconds)
    return replace(
        interval, started_at=interval.started_at + shift, ended_at=interval.ended_at + shift
    )


def test_a_total_is_the_sum_of_its_rows(path: Path) -> None:
    with Ledger(path) as ledger:
        for second in range(50):
            ledger.append([later(CPU, second), later(RAM, second)])
        ledger.append([replace(CPU, run_id="another")])
        totals, rows = ledger.totals("run"), ledger.intervals("run")
        assert ledger.last_instant("run") == NOON + timedelta(seconds=50)
    assert totals.energy_kwh == pytest.approx(sum(row.energy_j or 0 for row in rows) / 3.6e6)
    assert totals.emissions_g == pytest.approx(sum(row.emissions_g or 0 for row in rows))
    assert totals.energy_kwh == pytest.approx(
        sum(part.energy_kwh or 0 for part in totals.components.values())
    )
    assert totals.duration_s == 50
    assert totals.provenance == "measured"


def test_time_counts_once_whatever_the_components_are_called(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.append([CPU, RAM])
        ledger.append(
            [replace(later(part, 1), component=part.component[:3]) for part in (CPU, RAM)]
        )
        assert ledger.totals("run").duration_s == 2


def test_what_is_unknown_once_stays_so(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.append([CPU, RAM])
        ledger.append([later(CPU, 1), replace(later(RAM, 1), energy_j=None, emissions_g=None)])
        ledger.append([later(CPU, 2), later(RAM, 2)])
        totals = ledger.totals("run")
    assert totals.energy_kwh is None
    assert totals.components["cpu0"].energy_kwh == 6
    assert totals.components["ram0"].energy_kwh is None


def test_a_row_is_never_changed_or_deleted(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.append([CPU])
    connection = sqlite3.connect(path)
    for statement in ("UPDATE intervals SET energy_j = 0", "DELETE FROM intervals"):
        with pytest.raises(sqlite3.IntegrityError, match="appended"):
            connection.execute(statement)
    connection.close()


def test_a_file_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    columns = [field.name for field in fields(Interval)][:-1]  # without the age
    modelled = replace(later(CPU, 1), source="codecarbon", provenance="estimated")
    rows = [CPU, RAM, modelled, replace(later(RAM, 1), emissions_g=None)]
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE intervals (id INTEGER PRIMARY KEY, {', '.join(columns)})")
    marks = ", ".join("?" for _ in columns)
    statement = f"INSERT INTO intervals ({', '.join(columns)}) VALUES ({marks})"
    connection.executemany(statement, [
        [v.isoformat() if isinstance(v, datetime) else v for v in astuple(row)[:-1]] for row in rows
    ])  # fmt: skip
    connection.commit()
    connection.close()
    for _ in range(2):
        with Ledger(path) as ledger:
            totals = ledger.totals("run")
            assert ledger.intervals("run") == rows
        assert (totals.energy_kwh, totals.emissions_g) == (6, None)
        assert totals.components["cpu0"].source == "rapl counter"  # as it was first metered
        assert totals.duration_s == 2
    with Ledger(path) as ledger:
        ledger.append([replace(later(CPU, 2), intensity_age_s=30.0)])
        assert ledger.totals("run").energy_kwh == 8
        assert ledger.intervals("run")[-1].intensity_age_s == 30


def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    Ledger(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ArtifactError, match=r"newer lowtide.*update"):
        Ledger(path)
