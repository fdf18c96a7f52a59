"""The circuit breaker's states."""

from datetime import timedelta

import pytest

from lowtide.carbon.breaker import Breaker
from lowtide.carbon.failures import AwayError
from tests.carbon.fakes.wall import FakeWall


def test_two_failures_and_a_success_leave_it_closed(wall: FakeWall) -> None:
    breaker = Breaker("host", wall)
    for _ in range(3):
        breaker.failed(None)
        breaker.failed(None)
        breaker.succeeded()
    breaker.check()


def test_a_longer_hold_outlasts_the_rest(wall: FakeWall) -> None:
    breaker = Breaker("host", wall)
    for asked_s in (None, None, 800.0):
        breaker.failed(asked_s)
    wall.forward(timedelta(seconds=700))
    with pytest.raises(AwayError, match="left alone for 100 s"):
        breaker.check()
    wall.forward(timedelta(seconds=101))
    breaker.check()


def test_a_clock_that_is_set_back_does_not_prolong_it(wall: FakeWall) -> None:
    breaker = Breaker("host", wall)
    breaker.failed(60.0)
    wall.set_back(timedelta(days=1))
    wall.forward(timedelta(seconds=61))
    breaker.check()
