"""What leaves the ledger says what the ledger says: nothing lost, nothing invented."""

import json
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from lowtide.energy import nvml
from lowtide.energy.export import codecarbon_columns, summary, write_csv, write_json
from lowtide.energy.ledger import Interval, Ledger
from lowtide.energy.process_tree import SHARE
from lowtide.errors import UsageError

NOON = datetime(2022, 1, 1, 12, tzinfo=UTC)
MODEL = "codecarbon 3.3.2, TDP x load"
CPU = Interval(
    "run", "train", "cpu0", NOON, NOON + timedelta(minutes=30), 1800.0, 3.6e6, MODEL, "estimated",
    100.0, "step", 1.5, 150.0, replay=False, parked=False,
)  # fmt: skip
OTHER_CPU = replace(CPU, component="cpu1", energy_j=1.8e6, emissions_g=75.0)
GPU = replace(
    CPU, component="gpu0", energy_j=7.2e6, emissions_g=300.0, source=nvml.COUNTER,
    provenance="measured",
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path):  # type: ignore[no-untyped-def]
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def exported(ledger: Ledger) -> dict[str, dict]:  # type: ignore[type-arg]
    file = StringIO()
    write_json(ledger, ledger.runs(), file)
    return {run["run_id"]: run for run in json.loads(file.getvalue())["runs"]}


def table(ledger: Ledger) -> pd.DataFrame:
    """As a tool that reads CodeCarbon's files would."""
    file = StringIO()
    write_csv(ledger, ledger.runs(), file)
    file.seek(0)
    return pd.read_csv(file, index_col="run_id")


def later(interval: Interval, minutes: int) -> Interval:
    shift = timedelta(minutes=minutes)
    return replace(
        interval, started_at=interval.started_at + shift, ended_at=interval.ended_at + shift
    )


def test_json_holds_every_row_and_sums_that_agree_with_them(ledger: Ledger) -> None:
    rows = [CPU, GPU, later(replace(CPU, parked=True, intensity_age_s=5.0), 30), later(GPU, 30)]
    ledger.append(rows[:2])
    ledger.append([replace(CPU, run_id="another", stage="meter")])
    ledger.append(rows[2:])
    runs = exported(ledger)
    assert list(runs) == ["run", "another"]
    run = runs["run"]
    assert (run["started_at"], run["ended_at"]) == ("2022-01-01T12:00:00Z", "2022-01-01T13:00:00Z")
    assert run["duration_s"] == 3600
    for key, unit in (("energy_j", 3.6e6), ("emissions_g", 1)):
        total = run["energy_kwh"] if key == "energy_j" else run["emissions_g"]
        assert sum(row[key] for row in run["intervals"]) / unit == pytest.approx(total)
    back = [
        Interval(**{
            "run_id": "run", **row,
            "started_at": datetime.fromisoformat(row["started_at"]),
            "ended_at": datetime.fromisoformat(row["ended_at"]),
        })
        for row in run["intervals"]
    ]  # fmt: skip
    assert back == rows


def test_an_empty_ledger_is_an_empty_list_and_a_header(ledger: Ledger) -> None:
    assert exported(ledger) == {}
    assert len(table(ledger)) == 0


def test_codecarbon_goes_on_writing_below_our_lines(ledger: Ledger, tmp_path: Path) -> None:
    """It would move a file with other columns out of its way."""
    from codecarbon.output_methods.emissions_data import EmissionsData
    from codecarbon.output_methods.file import FileOutput

    ledger.append([CPU])
    with (tmp_path / "emissions.csv").open("w") as file:
        write_csv(ledger, ledger.runs(), file)
    its_own = EmissionsData(**dict.fromkeys(codecarbon_columns(), 0) | {"run_id": "its own"})
    FileOutput("emissions.csv", str(tmp_path)).out(its_own, its_own)
    lines = pd.read_csv(tmp_path / "emissions.csv")
    assert list(lines.run_id) == ["run", "its own"]
    assert list(lines.columns) == list(its_own.values)
    assert not list(tmp_path.glob("*.bak*"))


def test_a_line_is_in_codecarbons_units_with_the_pue_in_its_energy(ledger: Ledger) -> None:
    ledger.append([CPU, OTHER_CPU, GPU])
    line = table(ledger).loc["run"]
    assert line.timestamp == "2022-01-01T12:30:00"
    assert (line.project_name, line.duration, line.pue) == ("train", 1800, 1.5)
    assert line.cpu_energy == pytest.approx((1 + 0.5) * 1.5)
    assert line.gpu_energy == pytest.approx(2 * 1.5)
    assert line.energy_consumed == pytest.approx(line.cpu_energy + line.gpu_energy)
    assert line.cpu_power == pytest.approx(line.cpu_energy * 1000 / 0.5)
    assert line.emissions == pytest.approx(0.525)
    assert line.emissions == pytest.approx(line.energy_consumed * 0.1)  # 0.1 kg/kWh, PUE once
    assert line.emissions_rate == pytest.approx(0.525 / 1800)
    assert (line.codecarbon_version, line.tracking_mode) == ("3.3.2", "machine")


def test_what_the_ledger_does_not_know_is_empty_never_zero(ledger: Ledger) -> None:
    ledger.append([CPU, replace(GPU, energy_j=None, emissions_g=None)])
    ledger.append([replace(CPU, run_id="known", source=f"{MODEL}, {SHARE}")])
    lines = table(ledger)
    unknown = ["emissions", "emissions_rate", "gpu_energy", "gpu_power", "energy_consumed"]
    assert lines.loc["run", unknown].isna().all()
    assert lines.loc["run", "cpu_energy"] == 1.5
    never = ["ram_energy", "water_consumed", "wue", "country_name", "cpu_model", "gpu_count",
             "cpu_utilization_percent", "on_cloud", "longitude"]  # fmt: skip
    assert lines[never].isna().all(axis=None)
    assert lines.loc["known", "tracking_mode"] == "process"


def test_a_pue_that_changed_is_in_the_energy_and_not_named(ledger: Ledger) -> None:
    ledger.append([CPU])
    ledger.append([replace(later(CPU, 30), pue=1.0, emissions_g=100.0)])
    line = table(ledger).loc["run"]
    assert line.energy_consumed == pytest.approx(2.5)
    assert pd.isna(line.pue)


def test_without_codecarbon_the_remedy_is_said(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon.output_methods.emissions_data", None)
    with pytest.raises(UsageError, match=r"pip install codecarbon, or take --format json"):
        write_csv(ledger, [], StringIO())


def test_a_snapshot_does_not_see_what_is_written_meanwhile(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append([CPU])
    with Ledger(tmp_path / "ledger.db") as reader, reader.snapshot():
        assert reader.totals("run").energy_kwh == 1
        ledger.append([later(CPU, 30)])
        assert exported(reader)["run"]["energy_kwh"] == 1
        assert len(exported(reader)["run"]["intervals"]) == 1
    assert exported(ledger)["run"]["energy_kwh"] == 2


def test_a_summary_names_what_was_metered_for_too_short(ledger: Ledger) -> None:
    ledger.append([replace(CPU, duration_s=0.06), replace(GPU, duration_s=0.06)])
    (run,) = ledger.runs()
    found = summary(run, ledger.totals("run"))
    assert found["unresolved"] == ["gpu0"]
    assert found["components"]["gpu0"] == {
        "energy_kwh": 2.0, "source": nvml.COUNTER, "provenance": "measured",
    }  # fmt: skip
    assert set(asdict(run)) <= set(found)
