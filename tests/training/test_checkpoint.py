"""A checkpoint is there whole or not at all, whatever happens to the disk."""

import errno
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lowtide.controller.knobs import Knobs
from lowtide.errors import ArtifactError
from lowtide.training import checkpoint as module
from lowtide.training.checkpoint import (
    Progress,
    best,
    delete_checkpoints,
    peek_checkpoint,
    previous,
    restore_checkpoint,
    save_checkpoint,
    usable_checkpoint,
)
from lowtide.training.fit import fit
from lowtide.training.protocols import Hook
from tests.training.small import StopAt, assert_same_weights, model, work

PROGRESS = Progress("run", "mark", Knobs(8, "fp32", end=3.0), epoch=1, history=[{"val_loss": 1.0}])


class FailAt(Hook):
    """From a step on nothing can be written."""

    def __init__(self, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.monkeypatch = step, monkeypatch

    def before_step(self, step: float, num_steps: float) -> None:
        if self.left == 0:
            self.monkeypatch.setattr(module, "save_file", full_disk)
        self.left -= 1


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond this, which the system tells of as it does of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def saved(path: Path, progress: Progress = PROGRESS) -> torch.nn.Module:
    made = model()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9)
    made(torch.zeros(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    save_checkpoint(path, progress, made, optimizer, {"more": torch.arange(3)})
    return made


def test_weights_momentum_position_and_what_else_there_is_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    before = saved(path)
    other = model()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    extra = restore_checkpoint(path, other, optimizer)
    assert_same_weights(before, other)
    assert torch.equal(extra["more"], torch.arange(3))
    for one, parameter in zip(before.parameters(), other.parameters(), strict=True):
        assert torch.equal(optimizer.state[parameter]["momentum_buffer"], one.grad)
    assert usable_checkpoint(path, "mark") == (path, PROGRESS)


def test_a_full_disk_leaves_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit ends with one line, and goes on to the same weights once there is room."""
    whole = work(tmp_path / "whole")
    fit(whole, [])
    with pytest.raises(ArtifactError, match=r"cannot write .*No space left"):
        fit(work(tmp_path / "parts"), [FailAt(7, monkeypatch)])
    monkeypatch.undo()
    left = list((tmp_path / "parts").iterdir())
    assert not [file for file in left if file.name.startswith(".")]
    resumed = work(tmp_path / "parts")
    assert resumed.progress.epoch == 1
    fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)


def test_a_file_that_cannot_be_written_to_its_end_is_an_error_of_one_line(tmp_path: Path) -> None:
    """As safetensors itself reports it, which is not with an OSError."""
    path = tmp_path / "a.safetensors"
    saved(path)
    content = path.read_bytes()
    with largest_file(len(content) // 2), pytest.raises(ArtifactError) as raised:
        saved(path)
    assert "\n" not in str(raised.value)
    assert f"cannot write {path}" in str(raised.value)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_checkpoint_before_the_last_is_kept_until_all_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    saved(path)
    saved(path, replace(PROGRESS, epoch=2))
    assert peek_checkpoint(path, "mark") == replace(PROGRESS, epoch=2)
    path.unlink()  # killed between two renames
    assert peek_checkpoint(path, "mark") == PROGRESS
    assert usable_checkpoint(path, "mark") == (previous(path), PROGRESS)
    saved(best(path))
    saved(best(path))
    delete_checkpoints(path)
    assert peek_checkpoint(path, "mark") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\xff" * 64, b'\x02\0\0\0\0\0\0\0{}', b"half"]
)  # fmt: skip
def test_a_broken_checkpoint_is_said_and_the_one_before_it_used(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.safetensors"
    saved(path)
    saved(path, replace(PROGRESS, epoch=2))
    path.write_bytes(
        path.read_bytes()[: path.stat().st_size // 2] if content == b"half" else content
    )
    assert usable_checkpoint(path, "mark") == (previous(path), PROGRESS)
    assert len(caplog.records) == 1
    assert f"{path} cannot be used" in caplog.text


def test_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    assert usable_checkpoint(tmp_path / "none.safetensors", "mark") is None


def test_an_interruption_writes_a_checkpoint_and_goes_on_to_the_caller(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(work(tmp_path), [StopAt(3)])
    progress = peek_checkpoint(tmp_path / "train.safetensors", "mark")
    assert progress is not None
    assert (progress.epoch, progress.step) == (0, 3)
