"""What a fit leaves on disk beside its model is whole, or an error of ours."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from lowtide import artifacts
from lowtide.errors import ArtifactError
from lowtide.params import load_params
from lowtide.planning.horizon import Decision
from lowtide.stages import fitting, train
from lowtide.stages.run import run_stage
from lowtide.training.fit import BudgetSpent
from lowtide.training.pacing import Pacer, Pause
from lowtide.training.protocols import Hook

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAUSE = Pause(NOON, NOON.replace(hour=14), 300.0)
DECISION = Decision(0.0, PAUSE.end, "cleaner later", SimpleNamespace(forecast=()))  # type: ignore[arg-type]


class Run:
    def __init__(self) -> None:
        self.logged: list[bytes] = []

    def log_artifact(self, path: Path, folder: str) -> None:
        assert folder == "plan"
        self.logged.append(path.read_bytes())


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def pacer(checkout: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pacer:  # noqa: ARG001
    monkeypatch.setattr(fitting, "plan_figure", lambda *_: b"<svg/>")
    context = SimpleNamespace(
        stage="train", run=run, clock=None, source=None, window=None,
        session=SimpleNamespace(deadline=NOON),
    )  # fmt: skip
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    show = partial(fitting._show_pause, context)
    return fitting.make_pacer(params, context, None, 0.0, show)  # type: ignore[arg-type]


def test_the_plan_of_a_pause_is_kept_and_logged(pacer: Pacer, run: Run) -> None:
    pacer.on_pause(PAUSE, DECISION)
    assert run.logged == [b"<svg/>"]
    assert [file.name for file in artifacts.STATE.iterdir()] == ["plan-train.svg"]


def test_a_plan_that_cannot_be_written_is_named(pacer: Pacer) -> None:
    artifacts.STATE.write_text("no folder")
    with pytest.raises(ArtifactError, match=r"cannot write \.lowtide/plan-train\.svg"):
        pacer.on_pause(PAUSE, DECISION)


class SpentAt(Hook):
    """A budget that is used up within the second epoch, in whichever process."""

    def __init__(self, *_: object) -> None: ...

    def after_step(self, step: float, num_steps: float, loss: float) -> None:
        if step >= 0.7 * num_steps:
            raise BudgetSpent


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_killed_before_the_model_is_saved_it_is_the_best_epochs_all_the_same(
    write_params: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left beside it once it is saved."""
    write_params(controller={"gates": False})
    monkeypatch.setattr(fitting, "BudgetGuard", SpentAt)
    run_stage("prepare")
    whole = run_stage("train")
    expected = load_file(artifacts.TEACHER)
    artifacts.TEACHER.unlink()
    with monkeypatch.context() as context:
        context.setattr(train, "save_model", killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage("train")
    again = run_stage("train")
    assert whole is not None
    assert again is not None
    assert again["resumed"]
    assert again["over_budget"]
    assert again["accuracy"] == whole["accuracy"]
    found = load_file(artifacts.TEACHER)
    assert found.keys() == expected.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert list(artifacts.CHECKPOINTS.iterdir()) == []
