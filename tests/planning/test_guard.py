"""Once a plan has emitted more than the thresholds guarantee, the thresholds decide."""

from lowtide.planning.guard import FACTOR, Guard
from lowtide.planning.online import double_thresholds
from lowtide.planning.profile import FULL, Level

LIMITS = double_thresholds(4, 100.0, 400.0, 0.0)


def test_work_within_the_guarantee_leaves_the_plan_alone() -> None:
    guard = Guard(LIMITS)
    assert not guard.broken
    for limit in LIMITS.stay:
        guard.worked(1.0, FULL, float(limit) * FACTOR)
        assert not guard.broken


def test_dirty_work_breaks_it_and_clean_work_mends_it() -> None:
    guard = Guard(LIMITS)
    guard.worked(1.0, FULL, float(LIMITS.stay[0]) * FACTOR + 1)
    assert guard.broken
    assert not guard.accepts(400.0, running=True)
    guard.worked(1.0, FULL, 100.0)
    assert not guard.broken


def test_a_level_counts_by_its_work_and_its_power() -> None:
    guard = Guard(LIMITS)
    guard.worked(1.0, Level(4.0, 1.0, 4.0), float(LIMITS.stay[0]))
    assert guard.broken
