"""What is better than what, and which of the good ones is taken."""

from hypothesis import given
from hypothesis import strategies as st

from lowtide.search.front import Outcome, choose, dominates, pareto, ranks

POINTS = st.lists(st.tuples(*[st.integers(0, 4).map(float)] * 3), min_size=1, max_size=12)


@given(POINTS)
def test_a_rank_is_one_above_the_worst_that_dominates_it(
    points: list[tuple[float, ...]],
) -> None:
    found = ranks(points)
    for own, point in zip(found, points, strict=True):
        better = [r for r, other in zip(found, points, strict=True) if dominates(other, point)]
        assert own == max(better, default=-1) + 1


OUTCOMES = [
    Outcome(0, 0.97, 3.0, 1.0),
    Outcome(1, 0.96, 1.0, 1.0),
    Outcome(2, 0.96, 2.0, 0.5),
    Outcome(3, 0.90, 1.5, 1.0),  # nowhere better than trial 1
]


def test_the_front_is_what_none_dominates() -> None:
    assert [one.number for one in pareto(OUTCOMES)] == [0, 1, 2]


def test_the_least_joules_that_are_accurate_enough_else_the_most_accurate() -> None:
    def chosen(accuracy_min: float) -> int | None:
        found = choose(OUTCOMES, accuracy_min)
        return None if found is None else found.number

    assert chosen(0.95) == 1
    assert chosen(0.965) == 0
    assert chosen(0.99) == 0
    assert choose([], 0.5) is None
