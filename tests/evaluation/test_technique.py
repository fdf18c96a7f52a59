"""A technique enters while there is something to save, and stays if it saved it."""

import pytest

from lowtide.evaluation.technique import Measured, Target, enters, promises, stays
from lowtide.runtime.probe import Turns

TARGET = Target(energy_j_max=1.0, energy_ratio_min=4.0, accuracy_drop_max=0.01)


def turns(energy_j: float | None, seconds: float = 0.001) -> Turns:
    return Turns([], [seconds] * 3, [energy_j] * 3)


def measured(accuracy: float, energy_j: float | None, seconds: float = 0.001) -> Measured:
    return Measured(accuracy, turns(energy_j, seconds))


TEACHER = measured(0.90, 0.8, 0.010)


@pytest.mark.parametrize(
    ("projected_j", "ratio_min", "budget_j", "yes", "reason"),
    [
        (0.4, 4.0, 1.0, True, "4 times is the target"),
        (0.2, 4.0, 1.0, False, "within the target"),
        (0.2, 4.0, 0.1, True, "the budget is 0.1 J"),
        (0.01, None, 1.0, True, "no ratio to stop at"),
    ],
)
def test_it_enters_while_the_target_is_not_met(
    projected_j: float, ratio_min: float | None, budget_j: float, yes: bool, reason: str
) -> None:
    target = Target(budget_j, ratio_min, 0.01)
    decision = enters(turns(projected_j), TEACHER.turns, target)
    assert decision.yes == yes
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("before", "after", "yes", "reason"),
    [
        (measured(0.90, 0.8), measured(0.895, 0.4), True, "2.00 times less than before, -0.50"),
        (measured(0.90, 0.8), measured(0.95, 0.9), False, "saves nothing"),
        (measured(0.90, 0.8), measured(0.91, 0.8), True, "more accurate than before"),
        (measured(0.90, 0.8), measured(0.90, 0.79), False, "saves nothing"),
        (measured(0.90, 0.8), measured(0.885, 0.4), False, "1 points are allowed"),
        # It came in below the constraint: what does not lose more is not to blame.
        (measured(0.88, 0.8), measured(0.885, 0.4), True, "-1.50 points against the teacher"),
        (measured(0.88, 0.8), measured(0.875, 0.4), False, "1 points are allowed"),
    ],
)
def test_it_stays_if_it_pays(before: Measured, after: Measured, yes: bool, reason: str) -> None:
    decision = stays(before, after, TEACHER, TARGET)
    assert decision.yes == yes
    assert reason in decision.reason


def test_where_joules_are_unknown_time_is_compared() -> None:
    slow, quick = measured(0.9, None, 0.010), measured(0.9, None, 0.002)
    assert stays(slow, quick, TEACHER, TARGET).yes
    assert not stays(quick, slow, TEACHER, TARGET).yes
    assert not enters(quick.turns, turns(0.8, 0.010), TARGET).yes
    assert "unknown joules" in enters(slow.turns, TEACHER.turns, TARGET).reason


@pytest.mark.parametrize(("untrained_j", "yes"), [(0.4, True), (0.79, False), (0.9, False)])
def test_what_would_save_nothing_is_not_trained(untrained_j: float, yes: bool) -> None:
    assert promises(TEACHER.turns, turns(untrained_j)).yes == yes


def test_what_slows_a_pair_of_turns_does_not_decide() -> None:
    """Ratios are of turns next to each other: the medians alone would say 2 and 0.4 times."""
    before = Measured(0.9, Turns([], [1.0] * 3, [1.0, 2.0, 9.0]))
    same = Measured(0.9, Turns([], [1.0] * 3, [1.0, 9.0, 1.0]))
    less = Measured(0.9, Turns([], [1.0] * 3, [0.5, 9.0, 4.5]))
    assert not stays(before, same, TEACHER, TARGET).yes
    assert "2.00 times less" in stays(before, less, TEACHER, TARGET).reason
