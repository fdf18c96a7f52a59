"""Both callbacks where a fit does not simply end well: budgets, exceptions, two processes."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),  # theirs
    pytest.mark.usefixtures("checkout"),
]

REPLAY: dict[str, Any] = {"trace": "packaged", "at": "2022-04-05T01:00Z", "replay_speed": 3000.0}
# Two processes that train together: the budget is spent after about a second, and both stop.
HUGGING_FACE = """
import time
import torch
from transformers import Trainer, TrainingArguments
from lowtide.integrations.transformers import LowtideCallback

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x, labels):
        time.sleep(0.02)
        logits = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

rows = [{"x": [float(n), 1.0, 2.0, 3.0], "labels": n % 2} for n in range(64)]
settings = TrainingArguments("out", max_steps=100000, use_cpu=True, ddp_backend="gloo",
                             report_to="none", save_strategy="no", disable_tqdm=True)
green = LowtideCallback(budget_kwh=1e-9, trace="packaged", at="2022-04-05T01:00Z",
                        replay_speed=3000.0)
trainer = Trainer(model=Net(), args=settings, train_dataset=rows, callbacks=[green])
trainer.train()
print(f"ended at {trainer.state.global_step} of {settings.max_steps}", flush=True)
"""
LIGHTNING = """
import time
import lightning
from lightning.pytorch.demos.boring_classes import BoringModel
from lowtide.integrations.lightning import LowtideCallback

class Slow(BoringModel):
    def training_step(self, batch, batch_idx):
        time.sleep(0.02)
        return super().training_step(batch, batch_idx)

green = LowtideCallback(budget_kwh=1e-9, trace="packaged", at="2022-04-05T01:00Z",
                        replay_speed=3000.0)
trainer = lightning.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_steps=100000,
                            max_epochs=-1, logger=False, enable_checkpointing=False,
                            enable_progress_bar=False, callbacks=[green])
trainer.fit(Slow())
print(f"ended at {trainer.global_step} of {trainer.max_steps}", flush=True)
"""


def metering() -> int:
    return sum(thread.name == "energy-meter" for thread in threading.enumerate())


def boring(fails_at: int | None = None) -> Any:
    from lightning.pytorch.demos.boring_classes import BoringModel

    class Model(BoringModel):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == fails_at:
                raise RuntimeError("out of memory")
            return super().training_step(batch, batch_idx)

    return Model()


def fit(callback: Any, model: Any, **options: Any) -> Any:
    import lightning

    trainer = lightning.Trainer(
        accelerator="cpu", limit_val_batches=0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, callbacks=[callback], **options,
    )  # fmt: skip
    trainer.fit(model)
    return trainer


def test_lightning_stops_when_its_budget_is_spent() -> None:
    pytest.importorskip("lightning")
    from lowtide.integrations.lightning import LowtideCallback

    trainer = fit(LowtideCallback(budget_kwh=1e-9, **REPLAY), boring(), max_epochs=100000)
    assert 0 < trainer.global_step < 100000
    assert metering() == 0


def test_an_exception_in_lightning_ends_the_metering() -> None:
    pytest.importorskip("lightning")
    from lowtide.integrations.lightning import LowtideCallback

    with pytest.raises(RuntimeError, match="out of memory"):
        fit(LowtideCallback(deadline_hours=24, **REPLAY), boring(fails_at=3), max_epochs=1)
    assert metering() == 0


def test_lightning_needs_to_know_how_long_only_for_a_deadline() -> None:
    pytest.importorskip("lightning")
    from lowtide.errors import UsageError
    from lowtide.integrations.lightning import LowtideCallback

    with pytest.raises(UsageError, match="max_steps"):
        fit(LowtideCallback(deadline_hours=24, **REPLAY), boring(), max_epochs=-1)
    trainer = fit(LowtideCallback(budget_kwh=1e-9, **REPLAY), boring(), max_epochs=-1)
    assert trainer.global_step > 0


@pytest.mark.parametrize(
    ("library", "program"), [("transformers", HUGGING_FACE), ("lightning", LIGHTNING)]
)
def test_two_processes_stop_together(tmp_path: Path, library: str, program: str) -> None:
    pytest.importorskip(library)
    (tmp_path / "train.py").write_text(program)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "train.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ends = [line for line in done.stdout.splitlines() if line.startswith("ended at")]
    assert len(ends) == 2
    assert len(set(ends)) == 1
    assert done.stderr.count("the budget is spent") == 1  # one meter for the node
