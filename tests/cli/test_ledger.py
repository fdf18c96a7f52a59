"""`lowtide ledger` as a program: what it prints, what it writes, what it refuses."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from lowtide.artifacts import LEDGER
from lowtide.energy.ledger import Interval, Ledger

NOON = datetime(2022, 1, 1, 12, tzinfo=UTC)
ROW = Interval(
    "run-a", "train", "cpu", NOON, NOON + timedelta(hours=1), 3600.0, 3.6e6, "rapl counter",
    "measured", 100.0, "step", 1.0, 100.0, replay=False, parked=False,
)  # fmt: skip


def lowtide(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lowtide", *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture
def metered(checkout: Path) -> Path:
    with Ledger(LEDGER) as ledger:
        ledger.append([ROW, replace(ROW, run_id="run-b", stage="exec", emissions_g=None)])
    return checkout


@pytest.mark.usefixtures("metered")
def test_runs_are_listed_with_what_is_unknown_said() -> None:
    lines = lowtide("ledger").stdout.splitlines()
    start, end = "2022-01-01 12:00:00", "2022-01-01 13:00:00"
    assert lines[1].split("  ")[0] == "run-a"
    assert all(text in lines[1] for text in ("train", start, end, " 1 ", "100"))
    assert lines[2].split()[0] == "run-b"
    assert lines[2].endswith("unknown")
    runs = json.loads(lowtide("ledger", "--json").stdout)["runs"]
    assert [(run["run_id"], run["energy_kwh"], run["emissions_g"]) for run in runs] == [
        ("run-a", 1, 100), ("run-b", 1, None),
    ]  # fmt: skip


@pytest.mark.usefixtures("metered")
def test_a_run_has_its_sci_with_the_embodied_part_apart() -> None:
    figures = ("--embodied-kg", "1000", "--lifespan-years", "4", "--share", "0.5", "--per", "10")
    done = lowtide("ledger", "--run", "run-a", *figures, "--json")
    sci = json.loads(done.stdout)["runs"][0]["sci"]
    embodied_g = 1e6 / (4 * 365 * 24) / 2
    assert sci["operational_g"] == 100
    assert sci["embodied_g"] == pytest.approx(embodied_g)
    assert sci["sci_g_per_unit"] == pytest.approx((100 + embodied_g) / 10)
    text = lowtide("ledger", "--run", "run-a", *figures).stdout
    assert "operational 100 g, embodied 14.3 g, SCI 11.4 g CO2e for each of 10" in text
    assert "cpu: 1 kWh (measured, rapl counter)" in text


def test_an_export_is_written_whole_or_printed(metered: Path) -> None:
    printed = lowtide("ledger", "export", "--run", "run-b")
    assert [run["run_id"] for run in json.loads(printed.stdout)["runs"]] == ["run-b"]
    done = lowtide("ledger", "export", "--format", "csv", "--output", "out/emissions.csv", "--json")
    assert json.loads(done.stdout) == {
        "path": "out/emissions.csv", "format": "csv", "num_runs": 2,
    }  # fmt: skip
    assert [file.name for file in (metered / "out").iterdir()] == ["emissions.csv"]
    lines = pd.read_csv(metered / "out/emissions.csv")
    assert list(lines.run_id) == ["run-a", "run-b"]
    assert list(lines.emissions.isna()) == [False, True]


@pytest.mark.usefixtures("metered")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--run", "run-c"], 2, "knows no run 'run-c'"),
        (["--run", "run-a", "export"], 2, "options go behind `lowtide ledger export`"),
        (["--embodied-kg", "300", "--lifespan-years", "4"], 2, "the SCI needs --run"),
        (["--run", "run-a", "--per", "4"], 2, "the SCI needs"),
        (["--run", "run-a", "--embodied-kg", "9", "--lifespan-years", "0"], 2, "above 0"),
        (["--run", "run-a", "--embodied-kg", "9", "--lifespan-years", "4", "--share", "0"], 2,
         "--share 0"),
        (["export", "--format", "csv", "--json"], 2, "give --output"),
        (["export", "--output", "params.yaml/x"], 1, "cannot write params.yaml/x"),
        (["--ledger", "none.db"], 1, "no energy ledger at none.db"),
        (["--ledger", "params.yaml"], 1, "params.yaml cannot be used"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_with_its_code(arguments: list[str], code: int, message: str) -> None:
    Path("params.yaml").write_text("seed: 0\n")
    done = lowtide("ledger", *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
