"""Answers are kept where that is cheaper, and the decision is taken once."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lowtide.data.batches import Batch
from lowtide.energy.totals import ComponentTotal, Totals
from lowtide.training.answer_table import LARGEST_BYTES
from lowtide.training.keeping import Cost, Demand, Keeping, decide, demand, measure
from lowtide.training.kept_answers import open_answers
from lowtide.training.teacher import Teacher, TeacherAnswers
from tests.training.test_teacher import Sums, batches

SHAPE = (2, 20, 2)
NEEDED = Demand(40, 400)


class Meter:
    """A window over a device that draws 100 W."""

    def __init__(self, source: str = "rapl", watts: float = 100.0) -> None:
        self._source, self._watts, self._begun_s = source, watts, time.perf_counter()

    def sample(self) -> None: ...

    def totals(self) -> Totals:
        kwh = self._watts * (time.perf_counter() - self._begun_s) / 3.6e6
        return Totals(kwh, components={"cpu": ComponentTotal(kwh, self._source, "measured")})


class Slow(nn.Module):
    """What it answers costs ten thousand readings."""

    def forward(self, images: Tensor) -> Tensor:
        time.sleep(0.05)
        return Sums()(images)  # type: ignore[no-any-return]


def first_batch() -> Batch:
    return next(iter(batches().epoch(0)))


def opened(
    path: Path, model: nn.Module, needed: Demand = NEEDED, shape: tuple[int, int, int] = SHAPE
) -> tuple[TeacherAnswers, Keeping]:
    teacher = Teacher(model, "fp32", "teacher", None)
    return open_answers(teacher, path, shape, needed, first_batch(), Meter())


@pytest.mark.parametrize(
    ("epochs", "num_views", "asked", "needed"),
    [
        ((12,), 4, 400, 1152),  # 96 of 100 images an epoch: over time all of them are asked
        ((4,), 4, 384, 384),
        ((3,), 4, 288, 288),
        ((6, 4), 6, 600, 960),  # fine-tuning reads what distilling asked
        ((2, 2), 4, 200, 384),
    ],
)
def test_what_is_needed_and_what_of_it_is_asked(
    epochs: tuple[int, ...], num_views: int, asked: int, needed: int
) -> None:
    assert demand(epochs, num_views, 100, 96) == Demand(asked, needed)


def test_it_is_kept_up_to_where_reading_costs_as_much_as_it_saves() -> None:
    """100 of 300 are asked: the other 200 pay for 400 looks and writings."""
    needed = Demand(100, 300)
    for read, kept in ((0.49, True), (0.51, False)):
        assert decide(needed, Cost(1.0, None), Cost(read, None), "unknown").kept is kept


def test_joules_decide_where_they_are_known() -> None:
    """Reading is quick here, and draws much."""
    ask, read = Cost(1.0, 1.0), Cost(0.01, 0.9)
    by_joules = decide(Demand(100, 300), ask, read, "measured")
    assert (by_joules.kept, by_joules.basis) == (False, "joules, measured")
    by_time = decide(Demand(100, 300), Cost(1.0, None), read, "unknown")
    assert (by_time.kept, by_time.basis) == (True, "busy time")


def test_joules_are_measured_where_the_source_resolves_them() -> None:
    cost = measure(lambda: time.sleep(0.01), 5, 0.05, Meter())
    assert cost.joules == pytest.approx(100 * cost.seconds, rel=0.1)
    for coarse in (Meter("nvml power of GPU 0"), Meter("unheard of")):
        assert measure(lambda: time.sleep(0.01), 5, 0.05, coarse).joules is None


def test_a_slow_teacher_is_asked_once(tmp_path: Path) -> None:
    answers, keeping = opened(tmp_path / "a.npy", Slow())
    assert keeping.kept
    assert keeping.ask_s_per_image is not None
    assert keeping.read_s_per_image is not None
    assert keeping.ask_s_per_image > 10 * keeping.read_s_per_image
    assert str(keeping).startswith("the teacher's answers are kept (")
    assert torch.equal(answers(first_batch()), Sums()(first_batch().images))


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
    teacher = Sums()
    _, keeping = opened(tmp_path / "a.npy", teacher, needed, shape)
    assert not keeping.kept
    assert basis in str(keeping)
    assert teacher.seen == 0


def test_what_was_decided_before_a_kill_is_decided_after_it(tmp_path: Path) -> None:
    """Though the teacher would be quicker now."""
    _, before = opened(tmp_path / "a.npy", Slow())
    teacher = Sums()
    _, after = opened(tmp_path / "a.npy", teacher)
    assert after == before
    assert teacher.seen == 0


def test_a_later_fit_reads_the_table_that_it_finds(tmp_path: Path) -> None:
    _, before = opened(tmp_path / "a.npy", Slow())
    assert opened(tmp_path / "a.npy", Sums(), Demand(20, 20))[1] == before
    (tmp_path / "a.npy").unlink()
    assert not opened(tmp_path / "a.npy", Sums(), Demand(20, 20))[1].kept


def test_a_decision_that_cannot_be_read_is_taken_anew(tmp_path: Path) -> None:
    opened(tmp_path / "a.npy", Slow())
    (tmp_path / "a.json").write_text("{}")
    assert opened(tmp_path / "a.npy", Slow())[1].kept
