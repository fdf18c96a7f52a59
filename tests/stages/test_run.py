"""What torchrun cannot be asked for is refused by one process, before anything starts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lowtide.artifacts import FAILURE, STATE
from lowtide.cli import app
from lowtide.errors import UsageError
from lowtide.stages.run import run_stage


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
