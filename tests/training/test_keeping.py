"""Answers are kept where that is cheaper, by joules where a meter resolves them."""

import time

import pytest

from lowtide.energy.totals import ComponentTotal, Totals
from lowtide.training.keeping import Cost, Demand, decide, demand, measure


class Meter:
    """A window over a device that draws 100 W."""

    def __init__(self, source: str = "rapl", watts: float = 100.0) -> None:
        self._source, self._watts, self._begun_s = source, watts, time.perf_counter()

    def sample(self) -> None: ...

    def totals(self) -> Totals:
        kwh = self._watts * (time.perf_counter() - self._begun_s) / 3.6e6
        return Totals(kwh, components={"cpu": ComponentTotal(kwh, self._source, "measured")})


@pytest.mark.parametrize(
    ("epochs", "num_views", "asked", "needed"),
    [
        ((12,), 4, 400, 1152),  # 96 of 100 images an epoch: over time all of them are asked
        ((4,), 4, 384, 384),
        ((3,), 4, 288, 288),
        ((6, 4), 6, 600, 960),  # fine-tuning reads what distilling asked
        ((2, 2), 4, 200, 384),
    ],
)
def test_what_is_needed_and_what_of_it_is_asked(
    epochs: tuple[int, ...], num_views: int, asked: int, needed: int
) -> None:
    assert demand(epochs, num_views, 100, 96) == Demand(asked, needed)


def test_an_answer_for_two_views_is_asked_once_for_both() -> None:
    assert demand((12,), 5, 100, 96, 2) == Demand(300, 1152)
    assert demand((3,), 8, 100, 96, 2) == Demand(200, 288)


def test_it_is_kept_up_to_where_reading_costs_as_much_as_it_saves() -> None:
    """100 of 300 are asked: the other 200 pay for 400 looks and writings."""
    needed = Demand(100, 300)
    for read, kept in ((0.49, True), (0.51, False)):
        assert decide(needed, Cost(1.0, None), Cost(read, None), "unknown").kept is kept


def test_joules_decide_where_they_are_known() -> None:
    """Reading is quick here, and draws much."""
    ask, read = Cost(1.0, 1.0), Cost(0.01, 0.9)
    by_joules = decide(Demand(100, 300), ask, read, "measured")
    assert (by_joules.kept, by_joules.basis) == (False, "joules, measured")
    by_time = decide(Demand(100, 300), Cost(1.0, None), read, "unknown")
    assert (by_time.kept, by_time.basis) == (True, "busy time")


def test_joules_are_measured_where_the_source_resolves_them() -> None:
    cost = measure(lambda: time.sleep(0.01), 5, 0.05, Meter())
    assert cost.joules == pytest.approx(100 * cost.seconds, rel=0.1)
    for coarse in (Meter("nvml power of GPU 0"), Meter("unheard of")):
        assert measure(lambda: time.sleep(0.01), 5, 0.05, coarse).joules is None
