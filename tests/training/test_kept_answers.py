"""A teacher's answers are kept if that pays, and what is decided once holds after a kill."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lowtide.data.batches import Batch
from lowtide.training.answer_table import LARGEST_BYTES
from lowtide.training.keeping import Demand, Keeping
from lowtide.training.kept_answers import open_answers
from lowtide.training.teacher import Teacher, TeacherAnswers
from tests.training.test_keeping import Meter
from tests.training.test_teacher import Asked, batches, sums

SHAPE = (2, 20, 2)
NEEDED = Demand(40, 400)


class Slow(nn.Module):
    """What it answers costs ten thousand readings."""

    def forward(self, images: Tensor) -> Tensor:
        time.sleep(0.05)
        return sums(images)


def first_batch() -> Batch:
    return next(iter(batches().epoch(0)))


def opened(
    path: Path, model: nn.Module, needed: Demand = NEEDED, shape: tuple[int, int, int] = SHAPE
) -> tuple[TeacherAnswers, Keeping]:
    teacher = Teacher(model, "fp32", "teacher", None)
    return open_answers(teacher, path, shape, needed, first_batch(), Meter())


def test_a_slow_teacher_is_asked_once(tmp_path: Path) -> None:
    answers, keeping = opened(tmp_path / "a.npy", Slow())
    assert keeping.kept
    assert keeping.ask_s_per_image is not None
    assert keeping.read_s_per_image is not None
    assert keeping.ask_s_per_image > 10 * keeping.read_s_per_image
    assert str(keeping).startswith("the teacher's answers are kept (")
    assert torch.equal(answers(first_batch()), sums(first_batch().images))


def test_one_that_answers_quicker_than_a_file_is_asked_each_time(tmp_path: Path) -> None:
    """And nothing is left of the table by which that was measured."""
    instant = nn.Sequential(nn.Flatten(), Constant())
    _, keeping = opened(tmp_path / "a.npy", instant, Demand(399, 400))
    assert not keeping.kept
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


class Constant(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), 2)


@pytest.mark.parametrize(
    ("needed", "shape", "basis"),
    [
        (Demand(40, 40), SHAPE, "no answer is needed twice"),
        (NEEDED, (2, 20, LARGEST_BYTES), "more than"),
    ],
)
def test_where_nothing_is_to_be_gained_nothing_is_measured(
    tmp_path: Path, needed: Demand, shape: tuple[int, int, int], basis: str
) -> None:
    teacher = Asked(sums)
    _, keeping = opened(tmp_path / "a.npy", teacher, needed, shape)
    assert not keeping.kept
    assert basis in str(keeping)
    assert teacher.seen == 0


def test_what_was_decided_before_a_kill_is_decided_after_it(tmp_path: Path) -> None:
    """Though the teacher would be quicker now."""
    _, before = opened(tmp_path / "a.npy", Slow())
    teacher = Asked(sums)
    _, after = opened(tmp_path / "a.npy", teacher)
    assert after == before
    assert teacher.seen == 0


def test_a_later_fit_reads_the_table_that_it_finds(tmp_path: Path) -> None:
    _, before = opened(tmp_path / "a.npy", Slow())
    assert opened(tmp_path / "a.npy", Asked(sums), Demand(20, 20))[1] == before
    (tmp_path / "a.npy").unlink()
    assert not opened(tmp_path / "a.npy", Asked(sums), Demand(20, 20))[1].kept


def test_a_decision_that_cannot_be_read_is_taken_anew(tmp_path: Path) -> None:
    opened(tmp_path / "a.npy", Slow())
    (tmp_path / "a.json").write_text("{}")
    assert opened(tmp_path / "a.npy", Slow())[1].kept
