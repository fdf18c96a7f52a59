"""Training runs killed with SIGKILL at random moments: all end like one that was not.

A run takes about half a minute; LOWTIDE_KILLED_RUNS=50 asks for more than the usual ten.
"""

import multiprocessing
import os
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from lowtide.energy.ledger import Interval, Ledger
from tests.conftest import LENIENT, QUICK, ROOT, edit_params

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
NUM_RUNS = int(os.environ.get("LOWTIDE_KILLED_RUNS", "10"))
SLACK_S = 2.0  # an interval of a second, and a busy machine's delay in writing it
PARAMS = {
    **QUICK,
    "budgets": LENIENT,
    "train": {"epochs": 8, "batch_size": 16, "precision": "fp32"},
    "controller": {"batch_sizes": [16, 32], "land": True, "epochs_min": 3, "gates": True},
    "carbon": {"source": "typical", "trace": None, "replay_start": None},
    "schedule": {"deadline_hours": 0},
}


def run_stage_in(folder: Path, name: str) -> None:
    """In a process of its own, forked from one that has the libraries loaded."""
    os.chdir(folder)
    torch.set_num_threads(1)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from lowtide.stages.run import run_stage

    run_stage(name)


@pytest.fixture(scope="module")
def forked() -> "multiprocessing.context.ForkServerContext":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lowtide.stages.run", "lowtide.stages.train", "torch_pruning"])
    return context


class Run:
    """A checkout with prepared data, whose training is started, killed and started again."""

    def __init__(self, folder: Path, context: "multiprocessing.context.ForkServerContext") -> None:
        self.folder, self._context = folder, context
        self.killed_at: list[datetime] = []
        folder.mkdir()
        (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        edit_params(folder / "params.yaml", **PARAMS)
        self.complete("prepare")

    def complete(self, stage: str) -> float:
        """Seconds that it took."""
        started = time.monotonic()
        process = self._start(stage)
        process.join()
        assert process.exitcode == 0, (self.folder / "log.txt").read_text()[-2000:]
        return time.monotonic() - started

    def kill_after(self, seconds: float) -> bool:
        """Whether it was still running then."""
        process = self._start("train")
        process.join(seconds)
        if process.exitcode is not None:
            return False
        process.kill()
        process.join()
        self.killed_at.append(datetime.now(UTC))
        return True

    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(self.folder / "artifacts/teacher.safetensors")

    def rows(self, component: str = "cpu") -> list[Interval]:
        with Ledger(self.folder / ".lowtide/ledger.db") as ledger:
            found = [run for run in ledger.runs() if run.stage == "train"]
            rows = []
            for run in found:  # killed before its first checkpoint, a run is followed by another
                own = ledger.intervals(run.run_id)
                total_kwh = ledger.totals(run.run_id).energy_kwh
                assert total_kwh == pytest.approx(sum(row.energy_j for row in own) / 3.6e6)
                rows += [row for row in own if row.component == component]
        return rows

    def _start(self, stage: str) -> "multiprocessing.context.ForkServerProcess":
        process = self._context.Process(target=run_stage_in, args=(self.folder, stage))
        process.start()
        return process


def test_killed_runs_end_with_the_same_weights_and_a_whole_ledger(
    tmp_path: Path, forked: "multiprocessing.context.ForkServerContext"
) -> None:
    whole = Run(tmp_path / "whole", forked)
    lasts_s = whole.complete("train")
    record = whole.folder / "reports/train_decisions.json"
    expected = whole.weights()
    for number in range(NUM_RUNS):
        random, run = Random(number), Run(tmp_path / f"run{number}", forked)
        edit_params(run.folder / "params.yaml", controller={"decisions": str(record)})
        kills = random.randint(1, 3)
        while kills and run.kill_after(random.uniform(0.05, 0.95) * lasts_s):
            kills -= 1
        if not kills:  # else it was through before it could be killed
            run.complete("train")
        _require_same(expected, run.weights(), number)
        _require_whole_ledger(run)


def _require_same(
    expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor], number: int
) -> None:
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), f"run {number}: {name}"


def _require_whole_ledger(run: Run) -> None:
    """Intervals do not overlap, and none but the last before a kill is missing."""
    rows = run.rows()
    assert rows
    for before, after in pairwise(rows):
        assert before.ended_at <= after.started_at
        gap_s = (after.started_at - before.ended_at).total_seconds()
        kills = [at for at in run.killed_at if before.ended_at <= at <= after.started_at]
        assert kills or gap_s < 0.05, "a gap that no kill explains"
        if kills:  # what had been used by then and not been written
            assert (min(kills) - before.ended_at).total_seconds() < SLACK_S
