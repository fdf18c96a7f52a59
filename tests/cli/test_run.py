"""`lowtide meter` and `lowtide exec` as programs: JSON, exit codes, words passed untouched."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.cli.run import StatusLines
from lowtide.energy.totals import ComponentTotal, Totals
from lowtide.running.terms import Status

BURN = "import time; end = time.process_time() + 1.2\nwhile time.process_time() < end: pass"
REPLAY = ("--trace", "packaged", "--at", "2022-04-14T03:00Z", "--replay-speed", "1800")


def lowtide(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lowtide", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("checkout")
def test_meter_prints_one_object_and_keeps_the_exit_code() -> None:
    program = f"print('out')\n{BURN}\nraise SystemExit(5)"
    done = lowtide("meter", *REPLAY, "--json", "--", sys.executable, "-c", program)
    content = json.loads(done.stdout)
    assert done.returncode == content["exit_code"] == 5, done.stderr
    assert "out" in done.stderr
    assert content["energy_kwh"] > 0
    assert content["emissions_g"] > 0
    assert content["duration_s"] > 1
    assert content["cpu_s"] > 1.2
    assert content["attribution"] == "process tree share"
    assert content["provenance"]["clock"] == "replay"
    parts = content["components"]
    assert {"cpu", "ram"} <= set(parts)
    assert sum(part["energy_kwh"] for part in parts.values()) == pytest.approx(
        content["energy_kwh"]
    )
    assert all(part["source"] for part in parts.values())


@pytest.mark.usefixtures("checkout")
def test_without_json_stdout_is_the_commands_alone() -> None:
    done = lowtide("meter", *REPLAY, "--", "echo", "--json", "-c", "--", "--help")
    assert done.stdout == "--json -c -- --help\n"
    assert "exit code 0" in done.stderr
    assert "replay of packaged trace" in done.stderr


def test_exec_waits_for_clean_hours_of_the_replayed_day(
    write_params: Callable[..., Path], checkout: Path
) -> None:
    write_params()
    command = (sys.executable, "-c", BURN)
    done = lowtide("exec", "--deadline", "24h", "--work", "36m", *REPLAY, "--json", "--", *command)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["exit_code"] == 0
    assert content["deadline_met"]
    waited = datetime.fromisoformat(content["started_at"]) - datetime.fromisoformat(
        content["arrived_at"]
    )
    assert waited > timedelta(hours=3)
    assert "waiting until" in done.stderr
    assert 0 < content["emissions_g"] < content["run_now_emissions_g"]
    assert content["active_clock_s"] > 1.2 * 1800
    assert list((checkout / ".lowtide/exec").glob("*.json"))


def test_off_a_terminal_only_changes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    lines, until = StatusLines(), datetime(2026, 1, 1, 18, tzinfo=UTC)
    used = Totals(0.5, 120.0, 60.0, {"cpu": ComponentTotal(0.5, "fake", "estimated")})
    for changed in (True, False, False):
        lines(Status("waiting", until, "dirty now", None, changed))
    lines(Status("running", until, "clean", Totals(), True))
    for changed in (True, False):
        lines(Status("paused", until, "dirty", used, changed))
    assert capsys.readouterr().err.splitlines() == [
        "lowtide: waiting until 01 Jan 18:00 UTC (dirty now)",
        "lowtide: running (clean)",
        "lowtide: paused until 01 Jan 18:00 UTC (dirty) 0.5 kWh, 120 g CO2e (estimated)",
    ]


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["meter", *REPLAY], 2, "no command to run"),
        (["exec", "--deadline", "1h", *REPLAY, "--"], 2, "no command to run"),
        (["exec", "--deadline", "soon", *REPLAY, "--", "true"], 2, "--deadline 'soon'"),
        (["meter", *REPLAY, "--", "no-such-program"], 2, "no program 'no-such-program'"),
        (["exec", "--deadline", "1h", "--work", "2h", *REPLAY, "--", "true"], 3, "do not fit"),
        (["meter", "--", "true"], 2, "--zone"),
        (["meter", "--trace", "none.csv", "--", "true"], 1, "none.csv"),
    ],
)
def test_an_error_is_one_line_with_its_code(arguments: list[str], code: int, message: str) -> None:
    done = lowtide(*arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
