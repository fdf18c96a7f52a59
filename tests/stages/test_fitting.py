"""What a fit leaves on disk beside its model is whole, or an error of ours."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from lowtide import artifacts
from lowtide.errors import ArtifactError
from lowtide.params import load_params
from lowtide.planning.horizon import Decision
from lowtide.stages import fitting
from lowtide.training.pacing import Pacer, Pause

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
    return fitting._pacer(params, context, 0.0)  # type: ignore[arg-type]


def test_the_plan_of_a_pause_is_kept_and_logged(pacer: Pacer, run: Run) -> None:
    pacer.on_pause(PAUSE, DECISION)
    assert run.logged == [b"<svg/>"]
    assert [file.name for file in artifacts.STATE.iterdir()] == ["plan-train.svg"]


def test_a_plan_that_cannot_be_written_is_named(pacer: Pacer) -> None:
    artifacts.STATE.write_text("no folder")
    with pytest.raises(ArtifactError, match=r"cannot write \.lowtide/plan-train\.svg"):
        pacer.on_pause(PAUSE, DECISION)
