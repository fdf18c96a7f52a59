"""Training runs killed with SIGKILL at random moments: all end like one that was not.

Some are paused, and some have a budget that does not last. A run takes about half a minute;
LOWTIDE_KILLED_RUNS=50 asks for more than the usual ten.
"""

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lowtide.energy.ledger import Interval, Ledger
from tests.conftest import LENIENT, QUICK, ROOT, edit_params
from tests.integration.killed import WAITS_S, Settings, best_weights, noted_j, started

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
NUM_RUNS = int(os.environ.get("LOWTIDE_KILLED_RUNS", "10"))
SLACK_S = 2.0  # an interval of a second, and a busy machine's delay in writing it
BUDGET = 0.4  # of what a whole run uses
STEP_J = 1000.0  # where energy is that of steps: else a budget would last longer on an idle machine
PARAMS = {
    **QUICK,
    "budgets": LENIENT,
    "train": {"epochs": 8, "batch_size": 16, "precision": "fp32"},
    "controller": {"batch_sizes": [16, 32], "land": True, "epochs_min": 3, "gates": True},
    "carbon": {"source": "typical", "trace": None, "replay_start": None},
    "schedule": {"deadline_hours": 0},
}


class Run:
    """A checkout with prepared data, whose training is started, killed and started again."""

    def __init__(
        self, folder: Path, settings: Settings, changes: Mapping[str, dict[str, Any]]
    ) -> None:
        self.folder, self._settings = folder, settings
        self.killed_at: list[datetime] = []
        self.killed: list[int] = []
        folder.mkdir()
        (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        edit_params(folder / "params.yaml", **PARAMS)
        edit_params(folder / "params.yaml", **changes)
        self.complete("prepare")

    def complete(self, stage: str) -> float:
        """Seconds that it took."""
        started_s = time.monotonic()
        process = started(self.folder, stage, self._settings)
        process.join()
        self._require_success(process)
        return time.monotonic() - started_s

    def kill_after(self, seconds: float) -> bool:
        """Whether it was still running then."""
        process = started(self.folder, "train", self._settings)
        process.join(seconds)
        if process.exitcode is not None:
            self._require_success(process)
            return False
        process.kill()
        process.join()
        self.killed_at.append(datetime.now(UTC))
        self.killed.append(process.pid)
        return True

    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(self.folder / "artifacts/teacher.safetensors")

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "reports/train.json").read_text())
        return found

    def rows(self) -> list[Interval]:
        with Ledger(self.folder / ".lowtide/ledger.db") as ledger:
            found = [run for run in ledger.runs() if run.stage == "train"]
            rows = []
            for run in found:  # killed before its first checkpoint, a run is followed by another
                own = ledger.intervals(run.run_id)
                total_kwh = ledger.totals(run.run_id).energy_kwh
                assert total_kwh == pytest.approx(sum(row.energy_j for row in own) / 3.6e6)
                rows += own
        return rows

    def _require_success(self, process: Any) -> None:
        assert process.exitcode == 0, (self.folder / "log.txt").read_text()[-2000:]


class Whole(Run):
    """One that is not killed, whose decisions the others repeat."""

    def __init__(self, folder: Path, step_j: float | None = None, **controller: object) -> None:
        self._controller, settings = controller, Settings(keeps_bests=True, step_j=step_j)
        super().__init__(folder, settings, {"controller": controller})
        self.lasts_s = self.complete("train")
        _require_whole_ledger(self)

    def killed_run(
        self, folder: Path, random: Random, *, waits: bool = False, **budgets: float
    ) -> Run:
        """The same, killed up to three times, and then left to its end."""
        record = str(self.folder / "reports/train_decisions.json")
        controller = {**self._controller, "decisions": record}
        settings = Settings(save_every_s=0.3, waits=waits, step_j=self._settings.step_j)
        run = Run(folder, settings, {"controller": controller, "budgets": budgets})
        kills, lasts_s = random.randint(1, 3), self.lasts_s + WAITS_S * waits
        while kills and run.kill_after(random.uniform(0.05, 0.95) * lasts_s):
            kills -= 1
        if not kills:  # else it was through before it could be killed
            run.complete("train")
        _require_whole_ledger(run)
        return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """With every lever on."""
    return Whole(tmp_path_factory.mktemp("steered") / "whole")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Without gates: the best epoch's weights are what its checkpoint holds."""
    return Whole(tmp_path_factory.mktemp("plain") / "whole", STEP_J, gates=False)


@pytest.mark.parametrize("number", range(NUM_RUNS))
def test_killed_runs_end_with_the_same_weights_and_a_whole_ledger(
    tmp_path: Path, request: pytest.FixtureRequest, number: int
) -> None:
    """Of three, one is paused in each of its processes, and one has less energy than it needs."""
    random = Random(number)
    if number % 3 == 2:
        _require_best_within_budget(request.getfixturevalue("plain"), tmp_path / "run", random)
        return
    waits, whole = number % 3 == 1, request.getfixturevalue("whole")
    run = whole.killed_run(tmp_path / "run", random, waits=waits)
    _require_same(whole.weights(), run.weights())
    parked_s = sum(row.duration_s for row in run.rows() if row.parked and row.component == "cpu")
    assert parked_s > 0.5 * WAITS_S if waits else parked_s == 0


def _require_best_within_budget(whole: Whole, folder: Path, random: Random) -> None:
    """What processes before have used counts, and a kill does not lose the best epoch."""
    budget_kwh = BUDGET * whole.report()["energy_kwh"]
    run = whole.killed_run(folder, random, training_energy_kwh_max=budget_kwh)
    report = run.report()
    assert report["over_budget"]
    assert report["energy_kwh"] >= budget_kwh
    _require_same(best_weights(whole.folder, report["epochs"]), run.weights())


def _require_same(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


def _require_whole_ledger(run: Run) -> None:
    """Intervals do not overlap, and none but the last before a kill is missing, nor its joules."""
    rows = run.rows()
    _require_joules(run, rows)
    rows = [row for row in rows if row.component == "cpu"]
    assert rows
    for before, after in pairwise(rows):
        assert before.ended_at <= after.started_at
        gap_s = (after.started_at - before.ended_at).total_seconds()
        kills = [at for at in run.killed_at if before.ended_at <= at <= after.started_at]
        assert kills or gap_s < 0.05, "a gap that no kill explains"
        if kills:  # what had been used by then and not been written
            assert (min(kills) - before.ended_at).total_seconds() < SLACK_S


def _require_joules(run: Run, rows: list[Interval]) -> None:
    """Each component's joules are what its processes read between their first look and their last,
    less at most an interval of each process that was killed."""
    noted = noted_j(run.folder)
    for component in {component for _, component in noted}:
        read_j = lost_j = 0.0
        for (process, name), readings in noted.items():
            if name != component:
                continue
            read_j += readings[-1] - readings[0]
            if process in run.killed:
                lost_j += max((after - before for before, after in pairwise(readings)), default=0.0)
        booked_j = sum(row.energy_j or 0.0 for row in rows if row.component == component)
        assert read_j - lost_j - 1e-6 <= booked_j <= read_j + 1e-6
