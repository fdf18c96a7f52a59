"""The whole tree is stopped, counted and ended: children, daemons and those that have exited."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lowtide.running.child import Child
from tests.running.conftest import eventually, living_in

BURN = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass"


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Child]]:
    monkeypatch.chdir(tmp_path)
    made: list[Child] = []
    yield made
    for child in made:
        child.end(0)


def started(children: list[Child], *command: str) -> Child:
    children.append(Child(command, os.environ))
    children[-1].start()
    return children[-1]


def ended(child: Child) -> int:
    eventually(lambda: child.poll() is not None, "the command ends")
    code = child.poll()
    assert code is not None
    return code


def test_cpu_time_of_ended_grandchildren_counts(children: list[Child]) -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"
    program = program.format(BURN.format(0.4))
    child = started(children, sys.executable, "-c", program)
    ended(child)
    assert 0.4 < child.cpu_s() < 1.0


def test_cpu_time_of_a_running_command_grows_and_never_falls_at_its_end(
    children: list[Child],
) -> None:
    child = started(children, sys.executable, "-c", BURN.format(0.6))
    seen = [child.cpu_s()]
    while child.poll() is None:
        seen.append(child.cpu_s())
        time.sleep(0.02)
    seen.append(child.cpu_s())
    assert any(0 < value < 0.5 for value in seen)
    assert seen[-1] >= max(seen) - 0.03  # two counters of the kernel, one in ticks


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_an_orphaned_daemon_is_counted_and_stopped_and_ended(
    children: list[Child], tmp_path: Path
) -> None:
    burning = (sys.executable, "-c", BURN.format(60))
    child = started(children, "sh", "-c", 'setsid --fork "$@"; sleep 60', "sh", *burning)
    eventually(lambda: child.cpu_s() > 0.2, "the daemon's time counts")
    child.stop()
    everyone = living_in(tmp_path.resolve(), "60")
    assert len(everyone) >= 2
    assert all(process.status() == psutil.STATUS_STOPPED for process in everyone)
    child.resume()
    child.end(2.0)
    assert living_in(tmp_path.resolve(), "60") == []


def test_a_stopped_tree_uses_no_cpu(children: list[Child]) -> None:
    child = started(children, "sh", "-c", f'{sys.executable} -c "{BURN.format(60)}"; true')
    eventually(lambda: child.cpu_s() > 0.1, "it works")
    child.stop()
    time.sleep(0.05)
    before = child.cpu_s()
    time.sleep(0.3)
    assert child.cpu_s() == before


def test_a_signal_becomes_128_and_its_number(children: list[Child]) -> None:
    child = started(children, "sleep", "60")
    child.kill()
    assert ended(child) == 128 + 9


def test_other_subprocesses_of_this_one_are_spared(children: list[Child]) -> None:
    bystander = psutil.Popen(["sleep", "60"])
    try:
        child = started(children, "sleep", "60")
        child.end(1.0)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_it_can_be_started_again(children: list[Child]) -> None:
    child = started(children, sys.executable, "-c", BURN.format(0.2))
    assert ended(child) == 0
    once_s = child.cpu_s()
    child.start()
    assert child.alive
    assert ended(child) == 0
    assert child.cpu_s() > once_s + 0.2
