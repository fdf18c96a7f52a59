"""A teacher is asked once for each view of an image, also across processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lowtide.data.arrays import ImageArrays
from lowtide.data.batches import Batches
from lowtide.errors import ModelError
from lowtide.training.answer_table import open_table
from lowtide.training.features import LastFeatures
from lowtide.training.teacher import Teacher, TeacherAnswers
from tests.training.small import arrays, model

CPU = torch.device("cpu")


class Sums(nn.Module):
    """Answers with sums of pixels, and counts the images it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return torch.stack([images[:, 0].float().sum((1, 2)), images[:, 0, 0].float().sum(1)], 1)


def batches() -> Batches:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    labelled = ImageArrays(images, np.arange(20) % 2)
    return Batches(labelled, 6, shuffle=True, seed=0, device=CPU, augment="shift", num_views=2)


def answers_of(model: nn.Module, path: Path | None) -> TeacherAnswers:
    table = None if path is None else open_table(path, (2, 20, 2))
    return TeacherAnswers(Teacher(model, "fp32", "teacher", None), table)


def ask(answers: TeacherAnswers, epoch: int) -> None:
    for batch in batches().epoch(epoch):
        assert torch.equal(answers(batch), Sums()(batch.images))


def test_kept_answers_are_those_of_the_same_view(tmp_path: Path) -> None:
    teacher = Sums()
    answers = answers_of(teacher, tmp_path / "a.npy")
    for epoch in range(5):
        ask(answers, epoch)
    assert teacher.seen == 40


def test_a_later_process_goes_on_with_the_file(tmp_path: Path) -> None:
    ask(answers_of(Sums(), tmp_path / "a.npy"), 0)
    teacher = Sums()
    ask(answers_of(teacher, tmp_path / "a.npy"), 2)
    assert teacher.seen == 0


def test_without_a_table_the_teacher_is_asked_each_time() -> None:
    teacher = Sums()
    answers = answers_of(teacher, None)
    ask(answers, 0)
    ask(answers, 2)
    assert teacher.seen == 40


def test_features_stand_behind_the_logits_and_are_kept_with_them(tmp_path: Path) -> None:
    """What the last layer makes of the features is the logits."""
    network = model().eval()
    last = network.net.head[2]
    kept = open_table(tmp_path / "a.npy", (1, 40, 4 + last.in_features))
    teacher = Teacher(network, "fp32", "teacher", LastFeatures(network, (1, 8, 8)))
    answers = TeacherAnswers(teacher, kept)
    batch = next(iter(Batches(arrays(), 40, shuffle=False, seed=0, device=CPU).epoch(0)))
    for _ in range(2):
        answer = answers(batch)
        assert torch.allclose(last(answer[:, 4:]), answer[:, :4], atol=1e-5)
        assert torch.equal(answer[:, :4], network(batch.images))


def test_a_teacher_that_answers_nan_is_named() -> None:
    network = model()
    nn.init.constant_(network.net.head[2].bias, torch.nan)
    batch = next(iter(Batches(arrays(), 8, shuffle=False, seed=0, device=CPU).epoch(0)))
    teacher = Teacher(network, "fp32", "artifacts/teacher.safetensors", None)
    with pytest.raises(ModelError, match=r"teacher.safetensors answers NaN or inf for 8 of 8"):
        teacher(batch.images)
