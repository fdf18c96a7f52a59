"""A teacher is asked once for each view of an image, also across processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


class Asked(nn.Module):
    """Counts the images it has seen."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.seen, self._answer = 0, answer

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return self._answer(images)


def halves(images: Tensor) -> Tensor:
    """Sums over the left and the right half."""
    return torch.stack([half.sum((1, 2)) for half in images[:, 0].float().chunk(2, dim=2)], 1)


def sums(images: Tensor) -> Tensor:
    """Sums of pixels."""
    return torch.stack([images[:, 0].float().sum((1, 2)), images[:, 0, 0].float().sum(1)], 1)


def batches(**changes: Any) -> Batches:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    labelled = ImageArrays(images, np.arange(20) % 2)
    settings = {"augment": "shift", "num_views": 2, **changes}
    return Batches(labelled, 6, shuffle=True, seed=0, device=CPU, **settings)


def answers_of(model: nn.Module, path: Path | None) -> TeacherAnswers:
    table = None if path is None else open_table(path, (2, 20, 2))
    return TeacherAnswers(Teacher(model, "fp32", "teacher", None), table)


def ask(answers: TeacherAnswers, epoch: int) -> None:
    for batch in batches().epoch(epoch):
        assert torch.equal(answers(batch), sums(batch.images))


def test_kept_answers_are_those_of_the_same_view(tmp_path: Path) -> None:
    teacher = Asked(sums)
    answers = answers_of(teacher, tmp_path / "a.npy")
    for epoch in range(5):
        ask(answers, epoch)
    assert teacher.seen == 40


def test_a_later_process_goes_on_with_the_file(tmp_path: Path) -> None:
    ask(answers_of(Asked(sums), tmp_path / "a.npy"), 0)
    teacher = Asked(sums)
    ask(answers_of(teacher, tmp_path / "a.npy"), 2)
    assert teacher.seen == 0


def test_an_image_and_its_mirror_image_have_one_answer_which_is_kept_for_both(
    tmp_path: Path,
) -> None:
    """Sums of the left and right half change places in a mirror image."""
    asked = Asked(halves)
    teacher = Teacher(asked, "fp32", "teacher", None, flip=True)
    answers = TeacherAnswers(teacher, open_table(tmp_path / "a.npy", (1, 20, 2)))
    for epoch in range(4):
        for batch in batches(augment="flip-shift", in_pairs=True).epoch(epoch):
            mean = batch.images[:, 0].float().sum((1, 2)) / 2
            assert torch.equal(answers(batch), torch.stack([mean, mean], 1))
    assert asked.seen == 40


def test_without_a_table_the_teacher_is_asked_each_time() -> None:
    teacher = Asked(sums)
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
