"""A teacher is asked once for each view of an image, also across processes."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lowtide.data.batches import Batches, ImageArrays
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
