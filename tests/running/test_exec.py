"""A real command under `lowtide exec`, with real signals: held, passed on, never left behind."""

import signal
import sys
import time

import psutil
import pytest

from lowtide.errors import DeadlineError, LockedError, UsageError
from tests.running.conftest import Driven, eventually, living_in, longest_gap, ticker, ticks

IGNORES_TERM = [
    sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "open('ticks', 'w').write('0'); time.sleep(60)",
]  # fmt: skip


def stopped(driven: Driven, word: str) -> bool:
    found = living_in(driven.folder, word)
    return bool(found) and all(p.status() == psutil.STATUS_STOPPED for p in found)


def test_a_held_command_stands_still_and_goes_on(driven: Driven) -> None:
    report = driven.run(ticker(1.2), holds=[[0.7, 1.5]])
    assert report["exit_code"] == 0
    assert longest_gap(ticks(driven.folder)) > 0.6
    assert len(ticks(driven.folder)) == 60
    assert len(report["pauses"]) == 1
    assert report["deadline_met"]
    assert 1.1 < report["active_clock_s"] < 2.4
    assert driven.said == ["running", "paused", "running"]


def test_the_start_is_delayed_and_waiting_costs_the_command_nothing(driven: Driven) -> None:
    began_s = time.monotonic()
    report = driven.run(ticker(0.2), holds=[[0, 0.6]])
    assert report["exit_code"] == 0
    assert ticks(driven.folder)[0] - began_s > 0.6
    assert driven.said == ["waiting", "running"]
    assert report["duration_s"] < 0.6 + 0.5


def test_the_deadline_outranks_the_plan(driven: Driven) -> None:
    """The plan would hold it for an hour; a second of work is due in one and a half."""
    report = driven.run(ticker(0.2), holds=[[0, 3600]], deadline_s=1.5, work_s=1)
    assert report["exit_code"] == 0
    assert report["deadline_met"]
    assert report["pauses"] == []


def test_once_the_latest_start_has_come_it_runs_to_its_end(driven: Driven) -> None:
    report = driven.run(ticker(1.2), holds=[[0, 3600]], deadline_s=1, work_s=0.8)
    assert report["exit_code"] == 0
    assert report["pauses"] == []
    assert not report["deadline_met"]
    assert longest_gap(ticks(driven.folder)) < 0.4


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL),
    ],
    ids=["own code", "killed by a signal"],
)
def test_the_exit_code_is_passed_on(driven: Driven, program: str, code: int) -> None:
    assert driven.run([sys.executable, "-c", program])["exit_code"] == code
    assert driven.record["job"] is not None


def test_a_restartable_command_is_ended_and_started_again(driven: Driven) -> None:
    program = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(open('checkpoint', 'w').close()))\n"
        "starts = open('starts', 'a'); print(os.getpid(), file=starts, flush=True)\n"
        "time.sleep(0.1 if len(open('starts').readlines()) == 2 else 30)\n"
    )
    report = driven.run([sys.executable, "-c", program], holds=[[0.8, 1.1]], restartable=True)
    assert report["exit_code"] == 0
    assert (driven.folder / "checkpoint").exists()
    first, second = (driven.folder / "starts").read_text().split()
    assert first != second
    assert len(report["pauses"]) == 1


def test_a_restartable_command_that_does_not_obey_is_killed(driven: Driven) -> None:
    process = driven.start(IGNORES_TERM, holds=[[0.3, 3600]], restartable=True, grace_s=0.3)
    eventually(lambda: (driven.folder / "ticks").exists(), "the command starts")
    eventually(lambda: not living_in(driven.folder, "SIG_IGN"), "the command is killed")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 128 + signal.SIGINT


def test_ctrl_c_reaches_a_stopped_command(driven: Driven) -> None:
    process = driven.start(ticker(30), holds=[[0.3, 3600]])
    eventually(lambda: stopped(driven, "ticks"), "the command is stopped")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 128 + signal.SIGINT
    assert living_in(driven.folder, "ticks") == []
    assert driven.record["job"] is not None


def test_a_second_ctrl_c_kills(driven: Driven) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGINT, lambda *_: open('asked', 'w'));"
        "open('ticks', 'w').write('0')\nwhile True: time.sleep(1)"
    )
    process = driven.start([sys.executable, "-c", program])
    eventually(lambda: (driven.folder / "ticks").exists(), "the command starts")
    process.send_signal(signal.SIGINT)
    eventually(lambda: (driven.folder / "asked").exists(), "the first one is passed on")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 128 + signal.SIGKILL
    assert living_in(driven.folder, "asked") == []


def test_ctrl_c_before_the_start_ends_the_waiting(driven: Driven) -> None:
    process = driven.start(ticker(1), holds=[[0, 3600]])
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 128 + signal.SIGINT
    assert ticks(driven.folder) == []


def test_kill_9_leaves_no_stopped_orphan(driven: Driven) -> None:
    process = driven.start(ticker(30), holds=[[0.3, 3600]])
    eventually(lambda: stopped(driven, "ticks"), "the command is stopped")
    process.kill()
    eventually(lambda: not living_in(driven.folder, "ticks"), "the orphan has gone")
    eventually(lambda: not living_in(driven.folder, "watchdog"), "the watchdog has gone")


def test_kill_9_ends_also_who_left_the_session_and_does_not_obey(driven: Driven) -> None:
    command = ["setsid", "--fork", *IGNORES_TERM]
    waiting = ["sh", "-c", '"$@"; sleep 30', "sh", *command]
    process = driven.start(waiting, grace_s=0.3)
    eventually(lambda: (driven.folder / "ticks").exists(), "the command starts")
    process.kill()
    eventually(lambda: not living_in(driven.folder, "SIG_IGN"), "the daemon has gone")
    assert living_in(driven.folder, "sleep 30") == []


def test_a_kept_command_lives_on_after_kill_9(driven: Driven) -> None:
    process = driven.start(ticker(3), holds=[[0.3, 3600]], keep=True)
    eventually(lambda: stopped(driven, "ticks"), "the command is stopped")
    before = len(ticks(driven.folder))
    process.kill()
    eventually(lambda: len(ticks(driven.folder)) > before, "the command goes on")
    assert living_in(driven.folder, "watchdog")  # it holds the lock: no second copy starts
    for orphan in living_in(driven.folder, "ticks"):
        orphan.kill()
    eventually(lambda: not living_in(driven.folder, "watchdog"), "the watchdog has gone")


def test_after_kill_9_the_same_command_goes_on_with_its_deadline_and_energy(
    driven: Driven,
) -> None:
    process = driven.start(ticker(1.4), deadline_s=1000)
    eventually(lambda: len(ticks(driven.folder)) > 55, "it has worked for more than a second")
    process.kill()
    job = driven.record["job"]
    report = driven.run(ticker(1.4), deadline_s=50)
    assert report["exit_code"] == 0
    assert job["run_id"] in driven.said[0]
    assert report["run_id"] == job["run_id"]
    assert report["deadline"][:19] == job["deadline"][:19]
    assert report["duration_s"] > 2.3  # both starts
    joules = report["energy_kwh"] * 3.6e6
    assert 0 < joules < 100 * report["duration_s"]  # a share of a hundred watts, counted once
    assert driven.record["job"] is None
    assert driven.record["learnt_hours"] == pytest.approx(report["active_clock_s"] / 3600)


def test_two_at_once_are_refused(driven: Driven) -> None:
    process = driven.start(ticker(30))
    eventually(lambda: bool(ticks(driven.folder)), "the first one works")
    with pytest.raises(LockedError, match=f"pid {process.pid} "):
        driven.run(ticker(30))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM


def test_what_a_command_leaves_behind_is_ended_with_it(driven: Driven) -> None:
    report = driven.run(["sh", "-c", "sleep 61 & setsid sleep 62 & exit 3"])
    assert report["exit_code"] == 3
    assert living_in(driven.folder, "sleep 6") == []


def test_a_duration_is_learnt_and_used(driven: Driven) -> None:
    report = driven.run(ticker(0.2), work=None, deadline_s=3600)
    assert "assumes 0.50 h, half" in driven.said[0]
    assert report["work_hours_origin"] == "assumed"
    report = driven.run(ticker(0.2), work=None)
    assert "learnt" in driven.said[0]
    assert report["work_hours_origin"] == "learnt"
    assert report["work_hours"] < 0.01


def test_work_that_does_not_fit_is_refused_before_it_starts(driven: Driven) -> None:
    with pytest.raises(DeadlineError, match="raise --deadline"):
        driven.run(ticker(0.2), deadline_s=10, work_s=11)
    assert ticks(driven.folder) == []
    assert not list(driven.folder.rglob("*.json"))


def test_a_program_that_is_not_there_is_named(driven: Driven) -> None:
    with pytest.raises(UsageError, match="no-such-program"):
        driven.run(["no-such-program"])
    assert not list(driven.folder.rglob("*.json"))
