"""A teacher is asked once for each view of an image, also across processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lowtide.data.batches import Batches, ImageArrays
from lowtide.errors import ArtifactError
from lowtide.training.teacher import TeacherAnswers

CPU = torch.device("cpu")


class Teacher(nn.Module):
    """Answers with sums of pixels, and counts the images it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return torch.stack([images[:, 0].float().sum((1, 2)), images[:, 0, 0].float().sum(1)], 1)


def batches() -> Batches:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    arrays = ImageArrays(images, np.arange(20) % 2)
    return Batches(arrays, 6, shuffle=True, seed=0, device=CPU, augment="shift", num_views=2)


def ask(answers: TeacherAnswers, epoch: int) -> None:
    for batch in batches().epoch(epoch):
        expected = Teacher()(batch.images)
        assert torch.equal(answers(batch), expected)


def test_kept_answers_are_those_of_the_same_view(tmp_path: Path) -> None:
    teacher = Teacher()
    answers = TeacherAnswers(teacher, "fp32", tmp_path / "a.npy", (20, 2), 2)
    for epoch in range(5):
        ask(answers, epoch)
    assert teacher.seen == 40


def test_a_later_process_goes_on_with_the_file(tmp_path: Path) -> None:
    ask(TeacherAnswers(Teacher(), "fp32", tmp_path / "a.npy", (20, 2), 2), 0)
    teacher = Teacher()
    ask(TeacherAnswers(teacher, "fp32", tmp_path / "a.npy", (20, 2), 2), 2)
    assert teacher.seen == 0


def test_without_views_the_teacher_is_asked_each_time(tmp_path: Path) -> None:
    teacher = Teacher()
    answers = TeacherAnswers(teacher, "fp32", tmp_path / "a.npy", (20, 2), None)
    ask(answers, 0)
    ask(answers, 2)
    assert teacher.seen == 40
    assert not (tmp_path / "a.npy").exists()


# Opens a table while files may not grow beyond 200 bytes: that kills, or is a full disk.
PROGRAM = """
import resource, signal, sys
from pathlib import Path
from torch import nn
from lowtide.errors import ArtifactError
from lowtide.training.teacher import TeacherAnswers

resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
if sys.argv[2] == "kill":
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
try:
    TeacherAnswers(nn.Identity(), "fp32", Path(sys.argv[1]), (20, 2), 2)
except ArtifactError as error:
    sys.exit(str(error))
"""


def test_a_kill_while_the_table_is_made_leaves_none_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path), "kill"], check=False)
    assert done.returncode < 0
    ask(TeacherAnswers(Teacher(), "fp32", path, (20, 2), 2), 0)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_when_the_table_is_made(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "a.npy"), "full"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stderr.startswith("cannot write ")
    assert not list(tmp_path.iterdir())


def test_tables_of_other_teachers_are_deleted(tmp_path: Path) -> None:
    for name in ("a.npy", "b.npy"):
        TeacherAnswers(Teacher(), "fp32", tmp_path / name, (20, 2), 2)
    assert [file.name for file in tmp_path.iterdir()] == ["b.npy"]


def test_a_table_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(ArtifactError, match=r"cannot keep .*a\.npy"):
        TeacherAnswers(Teacher(), "fp32", tmp_path / "a.npy", (20, 2), 2)
