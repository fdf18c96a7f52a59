"""Units of the planner's table: few, and none that lose what few would keep."""

import numpy as np

from lowtide.planning.profile import Level, WorkProfile
from lowtide.planning.table import in_units


def units(levels: list[float], resume_hours: float = 0.0, work: float = 24.0) -> tuple[int, ...]:
    profile = WorkProfile(
        tuple(Level(level, level, level) for level in levels), resume_hours=resume_hours
    )
    grid = in_units(np.ones(288), work / 0.25, profile, 0.25, pausing=True)
    return (grid.need, grid.resume, *grid.per_slot)


def test_whole_levels_need_one_unit_a_slot() -> None:
    assert units([1, 2, 3, 4]) == (96, 0, 1, 2, 3, 4)


def test_a_resume_of_a_third_of_a_slot_takes_thirds() -> None:
    assert units([1, 2], resume_hours=5 / 60) == (288, 1, 3, 6)


def test_measured_levels_lose_less_than_a_hundredth() -> None:
    levels = [1.0, 0.737, 0.512, 0.351]
    need, _, *per_slot = units(levels)
    unit = need / 96
    for level, done in zip(levels, per_slot, strict=True):
        assert 0.99 * level < done / unit <= level


def test_rounding_is_never_in_the_works_favour() -> None:
    need, resume, *per_slot = units([1.0, 0.61803, 0.41421], resume_hours=0.0377, work=7.3)
    unit = per_slot[0]
    assert need / unit >= 7.3 / 0.25
    assert resume / unit >= 0.0377 / 0.25
    assert per_slot[1] / unit <= 0.61803
    assert per_slot[2] / unit <= 0.41421
