"""Processes that train together ask each other rarely, and after the same steps."""

from itertools import pairwise

from lowtide.integrations.together import Looks


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def looks_of(clocks: list[Seconds], steps_s: list[float]) -> list[int]:
    """The steps after which all of some processes ask; `steps_s`: how long each step takes."""
    processes = [Looks(clock) for clock in clocks]
    asked = []
    for number, step_s in enumerate(steps_s):
        for clock in clocks:
            clock.now += step_s
        due = {looks.due() for looks in processes}
        assert len(due) == 1
        if due.pop():
            asked.append(number)
            agreed = max(looks.wanted() for looks in processes)
            for looks in processes:
                looks.agree(agreed)
    return asked


def test_quick_steps_are_asked_after_about_once_a_second() -> None:
    asked = looks_of([Seconds()], [0.01] * 2000)
    assert asked[0] == 0
    assert 20 <= len(asked) <= 30  # of 20 s; the first ones come sooner
    assert all(99 <= b - a <= 101 for a, b in pairwise(asked[8:]))


def test_long_steps_are_asked_after_one_by_one_and_a_wait_is_only_one_of_them() -> None:
    assert looks_of([Seconds()], [2.0] * 5) == [0, 1, 2, 3, 4]
    asked = looks_of([Seconds()], [0.01] * 1000 + [3600.0] + [0.01] * 1000)
    assert len(asked) <= 40


def test_all_ask_after_the_same_step_though_their_clocks_differ() -> None:
    class Slower(Seconds):
        def __call__(self) -> float:
            return self.now / 2

    assert len(looks_of([Seconds(), Slower()], [0.01] * 2000)) > 8
