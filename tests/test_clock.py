"""A replay runs faster, jumps over waits, and never goes back."""

from datetime import UTC, datetime, timedelta

import pytest

from lowtide.clock import ReplayClock, SystemClock

START = datetime(2022, 4, 14, 3, tzinfo=UTC)


class Wall:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_second_of_the_wall_is_many_of_the_replay() -> None:
    wall = Wall()
    clock = ReplayClock(START, 60, wall)
    wall.seconds += 30
    assert clock.now() == START + timedelta(minutes=30)
    assert clock.real_seconds(timedelta(hours=1)) == 60


def test_a_wait_is_a_jump() -> None:
    wall = Wall()
    clock = ReplayClock(START, 60, wall)
    clock.sleep_until(START + timedelta(hours=10))
    assert clock.now() == START + timedelta(hours=10)
    clock.sleep_until(START)
    assert clock.now() == START + timedelta(hours=10)
    wall.seconds += 1
    assert clock.now() == START + timedelta(hours=10, minutes=1)


def test_a_replay_needs_a_zone_and_a_speed() -> None:
    with pytest.raises(ValueError, match="UTC-aware"):
        ReplayClock(datetime(2022, 1, 1), 1)
    with pytest.raises(ValueError, match="positive"):
        ReplayClock(START, 0)


def test_the_system_clock_waits_for_the_instant() -> None:
    clock = SystemClock()
    instant = clock.now() + timedelta(milliseconds=30)
    clock.sleep_until(instant)
    assert clock.now() >= instant
    assert clock.now().tzinfo is UTC
