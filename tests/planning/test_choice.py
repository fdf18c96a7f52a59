"""Uncertainty makes the planner careful, and never late."""

import numpy as np
import pytest

from lowtide.planning.choice import Outlook, chance, choose
from lowtide.planning.dynamic import Use
from lowtide.planning.profile import WorkProfile

ONE = WorkProfile()


def slots(uses: tuple[Use, ...]) -> list[int]:
    return [use.slot for use in uses]


def test_a_sure_saving_is_waited_for() -> None:
    outlook = Outlook(np.array([300.0, 300, 100]), np.array([5.0, 5, 5]))
    choice = choose(outlook, 1.0, ONE, 1.0)
    assert slots(choice.uses) == [2]
    assert choice.sure > 0.99


def test_an_unsure_saving_is_not() -> None:
    outlook = Outlook(np.array([300.0, 300, 270]), np.array([5.0, 60, 60]))
    choice = choose(outlook, 1.0, ONE, 1.0)
    assert choice.stays
    assert slots(choice.uses) == [0]
    assert choice.sure < 0.72


def test_work_that_has_waited_before_goes_by_the_forecast() -> None:
    outlook = Outlook(np.array([300.0, 300, 280]), np.array([5.0, 20, 25]))
    assert slots(choose(outlook, 1.0, ONE, 1.0, deviated=True).uses) == [2]


def test_a_far_slot_has_to_be_cleaner_than_a_near_one() -> None:
    outlook = Outlook(np.array([300.0, 100, 99]), np.array([5.0, 5, 80]))
    assert slots(choose(outlook, 1.0, ONE, 1.0).uses) == [1]


def test_without_bands_the_forecast_is_taken_as_certain() -> None:
    outlook = Outlook(np.array([300.0, 300, 280]), np.full(3, np.nan))
    choice = choose(outlook, 1.0, ONE, 1.0)
    assert slots(choice.uses) == [2]
    assert np.isnan(choice.sure)


def test_equal_errors_cancel_where_the_slots_lie_close() -> None:
    """Errors an hour apart are nearly the same: their difference is nearly sure."""
    outlook = Outlook(np.append(300.0, np.full(39, 290.0)), np.full(40, 20.0))
    now, near, far = ((Use(slot, 0, 1.0),) for slot in (0, 1, 39))
    assert chance(near, now, outlook, ONE, 1.0) > chance(far, now, outlook, ONE, 1.0) > 0.5


def test_work_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        choose(Outlook(np.ones(2), np.zeros(2)), 3.0, ONE, 1.0)
