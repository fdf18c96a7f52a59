"""A stage by its name: what torchrun cannot be asked for is refused, and SIGTERM is a pause."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lowtide.artifacts import DEFERRED, FAILURE, STATE, read_json
from lowtide.cli import app
from lowtide.errors import UsageError
from lowtide.stages import run, train
from lowtide.stages.run import run_stage
from lowtide.training.pacing import DEFERRED_EXIT_CODE


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def as_process(rank: int, size: int) -> None:
        place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "GROUP_RANK": 0,
                 "GROUP_WORLD_SIZE": 1}  # fmt: skip
        for name, value in place.items():
            monkeypatch.setenv(name, str(value))

    return as_process


def test_only_train_is_shared(
    write_params: Callable[..., Path], torchrun: Callable[[int, int], None]
) -> None:
    write_params()
    torchrun(0, 2)
    with pytest.raises(UsageError, match="stage distill runs in one process, not in 2"):
        run_stage("distill")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"train": {"batch_size": 10}}, "train.batch_size"),
        ({"controller": {"batch_sizes": [8, 18]}}, "controller.batch_sizes"),
    ],
)
def test_a_batch_that_cannot_be_shared_evenly_is_named(
    write_params: Callable[..., Path],
    torchrun: Callable[[int, int], None],
    changes: dict[str, dict[str, object]],
    key: str,
) -> None:
    write_params(**changes)
    torchrun(0, 4)
    with pytest.raises(UsageError, match=f"make {key} a multiple of 4"):
        run_stage("train")
    assert not STATE.exists()


def test_one_process_says_it(
    write_params: Callable[..., Path], torchrun: Callable[[int, int], None]
) -> None:
    write_params()
    torchrun(1, 3)
    follower = CliRunner().invoke(app, ["stage", "train"])
    assert (follower.exit_code, follower.output) == (UsageError.exit_code, "")
    assert not FAILURE.exists()
    torchrun(0, 3)
    leader = CliRunner().invoke(app, ["stage", "train"])
    assert isinstance(leader.exception, UsageError)
    assert FAILURE.exists()


@pytest.mark.parametrize(
    ("module", "what"), [(run, "open_sources"), (train, "estimate_hours"), (train, "save_model")]
)
def test_a_signal_to_leave_is_a_pause_before_the_first_step_and_after_the_last(
    write_params: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, module: Any, what: str
) -> None:
    write_params(train={"epochs": 1})
    run_stage("prepare")
    before, real = signal.getsignal(signal.SIGTERM), getattr(module, what)

    def asked_to_leave(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(module, what, asked_to_leave)
    done = CliRunner().invoke(app, ["stage", "train"])
    assert done.exit_code == DEFERRED_EXIT_CODE
    assert "lowtide: train is paused; run again it goes on" in done.output
    assert signal.getsignal(signal.SIGTERM) == before
    if module is train:  # by the clock of the replay
        assert read_json(DEFERRED)["until"].startswith("2022-04-")
        assert list(STATE.glob("checkpoints/train.*")) or what == "estimate_hours"
