"""Real commands that leave a trace in a file, and `lowtide exec` as a process around them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.running import drive

DRIVE = Path(drive.__file__)
PATIENCE_S = 15.0

# Ticks every 20 ms into the file `ticks`; ends after so many ticks as fill N seconds.
TICKER = """
import sys, time
for _ in range(int(float(sys.argv[1]) / 0.02)):
    with open("ticks", "a") as file:
        file.write(f"{time.monotonic()}\\n")
    time.sleep(0.02)
"""


def ticker(seconds: float) -> list[str]:
    return [sys.executable, "-c", TICKER, str(seconds)]


def ticks(folder: Path) -> list[float]:
    path = folder / "ticks"
    lines = path.read_text().splitlines() if path.exists() else []
    return [float(line) for line in lines if line]


def longest_gap(instants: list[float]) -> float:
    return max(late - early for early, late in pairwise(instants))


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for it; fail, naming it, where it does not come."""
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s, f"never: {what}"
        time.sleep(0.02)


def living_in(folder: Path, word: str) -> list[psutil.Process]:
    """The processes that work in a folder and have a word in their command line, but ours."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            alive = process.status() != psutil.STATUS_ZOMBIE and str(DRIVE) not in line
            if alive and word in line and process.cwd() == str(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


class Driven:
    """`lowtide exec` with a scripted planner in a folder of its own.

    `run` does it in this process; `start` in another one, to be signalled and killed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.started: list[subprocess.Popen[str]] = []

    def run(self, command: list[str], **options: object) -> dict[str, Any]:
        self.said.clear()
        return drive.run(options, command, self.said.append)

    def start(self, command: list[str], **options: object) -> "subprocess.Popen[str]":
        program = [sys.executable, str(DRIVE), json.dumps(options), *command]
        process = subprocess.Popen(
            program, cwd=self.folder, text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self.started.append(process)
        return process

    @property
    def record(self) -> dict[str, Any]:
        (path,) = (self.folder / ".lowtide" / "exec").glob("*.json")
        return json.loads(path.read_text())


@pytest.fixture
def driven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driven]:
    monkeypatch.chdir(tmp_path)
    driver = Driven(tmp_path.resolve())
    yield driver
    for process in driver.started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
