"""A batch size that is given up is paid for, and so is the rest of the night."""

import numpy as np
import pytest

from benchmarks.recurrences import Workload, night, recurrences
from lowtide.controller.power import PowerPoint, Tradeoff
from lowtide.controller.recurring import Choice

ENERGY = Tradeoff(1.0, 300)
RNG = np.random.default_rng(0)


def workload(**epochs: float) -> Workload:
    """An epoch is 100 J at each batch size; what is given is how many are needed."""
    sizes = {int(name[1:]): num for name, num in epochs.items()}
    points = {size: [PowerPoint(300.0, 100.0, 1.0)] for size in sizes}
    needed = {size: np.array([num]) for size, num in sizes.items()}
    return Workload(64, points, needed, dict.fromkeys(sizes, 30.0))


def test_a_hopeless_run_is_left_at_the_end_of_an_epoch_for_the_best_one() -> None:
    """1,250 J are passed in epoch 13 of 26: the second half takes 5 epochs of the best."""
    choice = Choice(32, 1250.0, "not tried yet", 64)
    spent, trial = night(workload(b64=10.0, b32=26.0), choice, ENERGY, RNG, first=False)
    assert (trial.cost, trial.reached) == (1300.0, False)
    assert spent == pytest.approx([1800.0, 18.0])


def test_a_run_that_never_gets_there_has_brought_nothing() -> None:
    choice = Choice(32, 1250.0, "not tried yet", 64)
    spent, trial = night(workload(b64=10.0, b32=float("nan")), choice, ENERGY, RNG, first=False)
    assert not trial.reached
    assert spent == pytest.approx([1300.0 + 1000.0, 23.0])


@pytest.mark.parametrize(("limit", "best"), [(1250.0, 64), (500.0, 32), (float("inf"), 32)])
def test_a_run_that_ends_in_that_epoch_or_has_the_best_size_goes_on(
    limit: float, best: int
) -> None:
    choice = Choice(32, limit, "sampled by its cost", best)
    spent, trial = night(workload(b64=10.0, b32=13.0), choice, ENERGY, RNG, first=False)
    assert (trial.cost, trial.reached) == (1300.0, True)
    assert spent[0] == 1300.0


def test_each_night_has_its_model_and_its_bill() -> None:
    runs = recurrences(workload(b64=10.0, b32=40.0), ENERGY, 0)
    assert [run.num_epochs for run in runs if not run.reached] == [15 + 10 * 25 / 40]
    assert all(run.num_epochs == 10 for run in runs if run.reached)
