"""Kills and full disks: nothing half-written, and the next run recovers."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from lowtide.energy.ledger import Ledger
from tests.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def kill_tree(pid: int) -> None:
    """SIGKILL to all at once, as a lost machine would."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def fill(path: Path) -> None:
    """Take all the space there is."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def num_epochs(printed: str) -> int:
    """That the teacher has gone through; what the controller decides is said as well."""
    return len(re.findall(r"train: epoch \d+/", printed))


def test_a_killed_training_goes_on_from_its_checkpoint(project: Any, tmp_path: Path) -> None:
    project.edit(train={"epochs": 12})
    log = tmp_path / "flow.log"
    flow = project.start(sys.executable, "-m", "flows.pipeline", log=log)
    wait_until(lambda: "train: epoch 2" in log.read_text(), 120, "the second epoch")
    time.sleep(random.uniform(0, 1.5))
    kill_tree(flow.pid)
    flow.wait()
    assert not (project.folder / "artifacts/teacher.safetensors").exists()
    seen = num_epochs(log.read_text())

    second = project.flow()
    printed = second.stdout + second.stderr
    assert "verdict: passed" in printed
    assert seen + num_epochs(printed) in {12, 13}  # the epoch of the kill may run twice
    report = json.loads((project.folder / "reports/train.json").read_text())
    assert report["resumed"] is True
    assert report["epochs"] == 12

    with Ledger(project.folder / ".lowtide/ledger.db") as ledger:
        intervals = ledger.intervals(report["stage_run_id"])
    total_j = sum(interval.energy_j for interval in intervals)
    assert total_j / 3.6e6 == pytest.approx(report["energy_kwh"])
    for component in report["components"]:
        own = [interval for interval in intervals if interval.component == component]
        assert all(a.ended_at <= b.started_at for a, b in pairwise(own))


def test_ctrl_c_ends_the_flow_in_order_and_says_how_to_go_on(project: Any, tmp_path: Path) -> None:
    """A terminal sends the signal to all processes of the flow's group at once."""
    project.edit(train={"epochs": 13})
    log = tmp_path / "flow.log"
    flow = project.start("setsid", sys.executable, "-m", "flows.pipeline", log=log)
    wait_until(lambda: "train: epoch 2" in log.read_text(), 120, "the second epoch")
    os.killpg(flow.pid, signal.SIGINT)
    assert flow.wait(30) == 130
    printed = log.read_text()
    assert "lowtide: interrupted; the next run goes on from the last checkpoint" in printed
    assert "Traceback" not in printed
    assert "Unable to connect" not in printed  # the server heard how the flow ended
    assert list((project.folder / ".lowtide/checkpoints").glob("train*"))


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    project: Any, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("no right to mount a small file system here")
    try:
        for name in ("params.yaml", "dvc.yaml"):
            (small / name).write_bytes((project.folder / name).read_bytes())
        done = subprocess.run(
            [sys.executable, "-m", "lowtide", "stage", "prepare"],
            cwd=small, env=project.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        fill(small / "filler")
        full = subprocess.run(
            [sys.executable, "-m", "lowtide", "stage", "train"],
            cwd=small, env=project.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert full.returncode == 1
        assert "Traceback" not in full.stderr
        assert "No space left" in full.stderr
        assert list(small.glob("artifacts/teacher*")) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)
