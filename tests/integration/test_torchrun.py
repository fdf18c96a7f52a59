"""The stage `train` under the real torchrun: one ledger run, and kills that change no weight."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from lowtide.artifacts import read_json
from lowtide.energy.ledger import Interval, Ledger
from tests.conftest import LENIENT, QUICK, ROOT, edit_params
from tests.servers import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
PATIENCE_S = 900  # a busy machine's
PARAMS = {
    **QUICK,
    "budgets": LENIENT,
    "model": {"teacher": "tidenet-xs", "student": "tidenet-xs"},
    "train": {"epochs": 8, "batch_size": 32, "precision": "fp32"},
    "controller": {"batch_sizes": [32, 64], "land": True, "epochs_min": 3, "gates": True},
    "carbon": {"source": "typical", "trace": None, "replay_start": None},
    "schedule": {"deadline_hours": 0},
}


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Whatever the body does, nothing of it runs on."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


class Checkout:
    """A folder with prepared data, in which torchrun trains."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log.txt"
        folder.mkdir()
        (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        edit_params(folder / "params.yaml", **PARAMS)
        subprocess.run(self._stage("prepare"), cwd=folder, check=True, env=self._environment())

    def train(self) -> "subprocess.Popen[bytes]":
        """With two processes, restarted up to three times."""
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        options = ["--nproc-per-node", "2", "--max-restarts", "3", "--no-python"]
        with self.log.open("ab") as file:
            return subprocess.Popen(
                [*torchrun, *options, *self._stage("train")], cwd=self.folder, stdout=file,
                stderr=file, env=self._environment(),
            )  # fmt: skip

    def complete(self) -> None:
        with ended(self.train()) as process:
            assert process.wait(PATIENCE_S) == 0, self.said()

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(self.folder / "artifacts/teacher.safetensors")

    def rows(self) -> list[Interval]:
        """Of the one run of `train` that the ledger has."""
        with Ledger(self.folder / ".lowtide/ledger.db") as ledger:
            (run,) = [run for run in ledger.runs() if run.stage == "train"]
            return ledger.intervals(run.run_id)

    def _stage(self, name: str) -> list[str]:
        return [sys.executable, "-m", "lowtide", "stage", name]

    def _environment(self) -> dict[str, str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "LOWTIDE_"))}
        return {**ours, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


def worker(torchrun: "subprocess.Popen[bytes]", rank: int) -> psutil.Process:
    """The process of a rank that torchrun has started last."""
    children = psutil.Process(torchrun.pid).children()
    return next(child for child in children if child.environ().get("RANK") == str(rank))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Trained without being disturbed."""
    checkout = Checkout(tmp_path_factory.mktemp("torchrun") / "whole")
    checkout.complete()
    return checkout


@pytest.fixture
def disturbed(whole: Checkout, tmp_path: Path) -> Checkout:
    """Another one, which is to decide the same."""
    checkout = Checkout(tmp_path / "disturbed")
    record = whole.folder / "reports/train_decisions.json"
    edit_params(checkout.folder / "params.yaml", controller={"decisions": str(record)})
    return checkout


@contextmanager
def training(checkout: Checkout) -> Iterator["subprocess.Popen[bytes]"]:
    """In the body the third of eight epochs is running."""
    with ended(checkout.train()) as process:
        wait_until(lambda: "epoch 2/8" in checkout.said(), PATIENCE_S, "two epochs")
        yield process


def require_same_weights(one: Checkout, other: Checkout) -> None:
    expected, found = one.weights(), other.weights()
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


def require_counted_once(checkout: Checkout) -> None:
    """The report has the ledger's total, and no interval of a component overlaps another."""
    rows = checkout.rows()
    total_kwh = sum(row.energy_j or 0.0 for row in rows) / 3.6e6
    assert read_json(checkout.folder / "reports/train.json")["energy_kwh"] == (
        pytest.approx(total_kwh)
    )
    for component in {row.component for row in rows}:
        for before, after in pairwise(row for row in rows if row.component == component):
            assert before.ended_at <= after.started_at


def ram_power_w(rows: list[Interval]) -> float:
    own = [row for row in rows if row.component.startswith("ram")]
    return sum(row.energy_j or 0.0 for row in own) / sum(row.duration_s for row in own)


def test_two_processes_are_one_run_on_one_meter(whole: Checkout) -> None:
    """RAM draws the same whoever trains: metered twice it would be twice as much."""
    require_counted_once(whole)
    report = read_json(whole.folder / "reports/train.json")
    assert (report["num_processes"], report["num_nodes"]) == (2, 1)
    with Ledger(whole.folder / ".lowtide/ledger.db") as ledger:
        (prepared,) = [run for run in ledger.runs() if run.stage == "prepare"]
        alone_w = ram_power_w(ledger.intervals(prepared.run_id))
    assert ram_power_w(whole.rows()) == pytest.approx(alone_w, rel=0.1)
    assert whole.said().count("epoch 8/8") == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_is_started_again_and_changes_nothing(
    whole: Checkout, disturbed: Checkout, rank: int
) -> None:
    with training(disturbed) as process:
        worker(process, rank).kill()
        assert process.wait(PATIENCE_S) == 0, disturbed.said()
    require_same_weights(whole, disturbed)
    require_counted_once(disturbed)
    assert "Traceback" not in disturbed.said()
    assert read_json(disturbed.folder / "reports/train.json")["resumed"]


def test_sigterm_to_torchrun_leaves_a_checkpoint_within_ten_seconds(
    whole: Checkout, disturbed: Checkout
) -> None:
    with training(disturbed) as process:
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert time.monotonic() - begun < 10
    assert "train is paused" in disturbed.said()
    disturbed.complete()
    require_same_weights(whole, disturbed)
    require_counted_once(disturbed)
