"""Levels for the planner, from watts and rates that were measured at power limits."""

import pytest

from lowtide.controller.levels import relative_levels
from lowtide.controller.power import PowerPoint
from lowtide.planning.profile import Level, WorkProfile

FULL, HALF, LOW = PowerPoint(300, 280, 100), PowerPoint(150, 140, 80), PowerPoint(75, 70, 40)


def test_levels_are_in_units_of_the_highest_limit_from_it_down() -> None:
    assert relative_levels([LOW, FULL, HALF]) == ((1, 1, 1), (0.5, 0.8, 0.5), (0.25, 0.4, 0.25))


def test_the_planner_takes_them() -> None:
    profile = WorkProfile(tuple(Level(*one) for one in relative_levels([FULL, HALF])))
    assert profile.has_full
    assert profile.levels[1] == Level(level=0.5, throughput=0.8, power=0.5)


@pytest.mark.parametrize(
    "point",
    [
        PowerPoint(200, 200, 70),  # slower than at half, for more
        PowerPoint(200, 140, 79),  # as much power, less done
        PowerPoint(200, 150, 80),  # as much done, more power
        HALF,
        PowerPoint(160, 140, 80),  # the limit did not bind: the lower one stays
    ],
)
def test_what_another_limit_does_for_less_is_left_out(point: PowerPoint) -> None:
    for points in ([FULL, HALF, LOW, point], [point, LOW, HALF, FULL]):
        assert relative_levels(points) == relative_levels([FULL, HALF, LOW])


def test_the_highest_limit_itself_may_be_one() -> None:
    """Where the job draws little, noise decides: the faster one is the only level."""
    assert relative_levels([PowerPoint(300, 80, 100), PowerPoint(150, 80, 110)]) == (
        (0.5, 1.1, 1.0),
    )


def test_what_cannot_have_been_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        relative_levels([])
    with pytest.raises(ValueError, match="positive"):
        relative_levels([FULL, PowerPoint(150, 140, 0)])
