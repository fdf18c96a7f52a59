"""The ledger keeps rows and their sums together, whatever the file was made by."""

import signal
import sqlite3
import subprocess
import sys
from dataclasses import astuple, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.energy.ledger import Interval, Ledger, TrialRow
from lowtide.errors import ArtifactError

NOON = datetime(2022, 1, 1, 12, tzinfo=UTC)
CPU = Interval(
    "run", "train", "cpu0", NOON, NOON + timedelta(seconds=1), 1.0, 7.2e6, "rapl counter",
    "measured", 100.0, "step", 1.0, 200.0, replay=False, parked=False,
)  # fmt: skip
TRIAL = TrialRow("nightly", 64, 150.0, 1000.0, 10.0, 0.1, converged=True, started_at=NOON)
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


def test_a_runs_beginning_and_its_oldest_intensity_are_known_without_its_rows(path: Path) -> None:
    with Ledger(path) as ledger:
        assert ledger.first_instant("run") is None
        assert ledger.oldest_intensity_s("run") is None
        ledger.append([CPU, RAM])
        assert ledger.oldest_intensity_s("run") is None
        for age_s, second in ((9.5, 1), (70.0, 2), (8.0, -3600)):  # the last: a clock set back
            ledger.append([replace(later(CPU, second), intensity_age_s=age_s)])
        assert ledger.first_instant("run") == NOON
        assert ledger.oldest_intensity_s("run") == 70


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
        ledger.append_trial(TRIAL)
    connection = sqlite3.connect(path)
    for statement in (
        "UPDATE intervals SET energy_j = 0", "DELETE FROM intervals",
        "UPDATE trials SET energy_j = 0", "DELETE FROM trials",
    ):  # fmt: skip
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


def test_a_file_of_the_second_version_gets_trials(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.append([CPU, RAM])
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE trials")  # with its triggers: all that version 3 added
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    for _ in range(2):
        with Ledger(path) as ledger:
            ledger.append_trial(TRIAL)
            assert ledger.trials("nightly") == [TRIAL]
            assert ledger.intervals("run") == [CPU, RAM]
            assert ledger.totals("run").energy_kwh == 3
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="appended"):
        connection.execute("DELETE FROM trials")
    connection.close()


def test_what_was_used_while_parked_is_told_apart(path: Path) -> None:
    waiting = [replace(later(one, 1), parked=True) for one in (CPU, RAM)]
    with Ledger(path) as ledger:
        ledger.append([CPU, RAM])
        ledger.append(waiting)
        ledger.append([later(CPU, 2), later(RAM, 2)])
        totals = ledger.totals("run")
    assert (totals.energy_kwh, totals.parked_energy_kwh, totals.active_energy_kwh) == (9, 3, 6)
    assert totals.emissions_g == pytest.approx(3 * totals.parked_emissions_g)
    assert totals.active_emissions_g == pytest.approx(2 * totals.parked_emissions_g)
    assert (totals.duration_s, totals.parked_s, totals.active_s) == (3, 1, 2)
    assert totals.components["cpu0"].energy_kwh == 6


def test_a_file_of_the_third_version_tells_work_from_waiting(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.append([CPU, RAM])
        ledger.append([replace(later(CPU, 1), parked=True), replace(later(RAM, 1), parked=True)])
    connection = sqlite3.connect(path)
    for statement in (
        "DROP TRIGGER add_up", "DROP TABLE sums", "DROP TABLE spans",
        "CREATE TABLE sums (run_id, component, energy_j, emissions_g, source, provenance,"
        " PRIMARY KEY (run_id, component)) WITHOUT ROWID",
        "CREATE TABLE spans (run_id PRIMARY KEY, duration_s, ended_at, span) WITHOUT ROWID",
        "PRAGMA user_version = 3",
    ):  # fmt: skip
        connection.execute(statement)
    connection.close()
    for num_appended in range(2):
        with Ledger(path) as ledger:
            totals = ledger.totals("run")
            assert totals.parked_energy_kwh == 3
            assert totals.active_energy_kwh == 3 * (1 + num_appended)
            assert (totals.duration_s, totals.parked_s) == (2 + num_appended, 1)
            ledger.append([later(CPU, 2), later(RAM, 2)])


def test_trials_of_the_fourth_version_have_no_power_profile(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.append_trial(TRIAL)
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE trials DROP COLUMN power_profile")
    connection.execute("PRAGMA user_version = 4")
    connection.close()
    with Ledger(path) as ledger:
        later_on = replace(TRIAL, started_at=NOON + timedelta(days=1), power_profile="{}")
        ledger.append_trial(later_on)
        assert ledger.trials("nightly") == [TRIAL, later_on]


def test_trials_come_back_by_job_as_they_went_in(path: Path) -> None:
    unknown = replace(
        TRIAL, power_limit_w=None, energy_j=None, emissions_g=None, converged=False,
        started_at=NOON + timedelta(days=1),
    )  # fmt: skip
    with Ledger(path) as ledger:
        for trial in (TRIAL, replace(TRIAL, job="weekly"), unknown):
            ledger.append_trial(trial)
    with Ledger(path) as ledger:
        assert ledger.trials("nightly") == [TRIAL, unknown]
        assert ledger.trials("monthly") == []


def test_a_trial_that_is_told_twice_is_there_once(path: Path) -> None:
    """By a run that was killed before it knew that it had told."""
    with Ledger(path) as ledger:
        for _ in range(2):
            ledger.append_trial(TRIAL)
        assert ledger.trials("nightly") == [TRIAL]


def test_a_trial_that_is_not_whole_is_refused(path: Path) -> None:
    with Ledger(path) as ledger:
        with pytest.raises(ArtifactError, match="NOT NULL"):
            ledger.append_trial(replace(TRIAL, duration_s=float("nan")))
        assert ledger.trials("nightly") == []


APPENDING = """
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tests.energy.test_ledger import NOON, TRIAL
from lowtide.energy.ledger import Ledger

with Ledger(Path(sys.argv[1])) as ledger:
    for night in range(10**6):
        began = NOON + timedelta(days=night % 3000, seconds=night)
        ledger.append_trial(replace(TRIAL, energy_j=night, emissions_g=night, started_at=began))
        print(night, flush=True)
"""


def test_a_kill_leaves_whole_trials_and_none_that_was_told_is_lost(path: Path) -> None:
    command = [sys.executable, "-c", APPENDING, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        kept = ledger.trials("nightly")
        ledger.append_trial(TRIAL)
    assert [trial.energy_j for trial in kept] == list(range(len(kept)))
    assert [trial.emissions_g for trial in kept] == list(range(len(kept)))
    assert len(told) <= len(kept) <= len(told) + 1


def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    Ledger(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ArtifactError, match=r"newer lowtide.*update"):
        Ledger(path)
