"""A budget counts what is known, warns at 80 % and ends at 100 %, each said once."""

import pytest

from lowtide.energy.budget import Budget, BudgetWatch
from lowtide.energy.totals import ComponentTotal, Totals
from lowtide.errors import UsageError


def totals(kwh: float | None, grams: float | None = None) -> Totals:
    return Totals(kwh, grams, 1.0, {"cpu": ComponentTotal(kwh, "s", "measured")})


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_budget_of_nothing_is_refused(limit: float) -> None:
    with pytest.raises(UsageError, match=r"of .* kWh leaves nothing to train with"):
        Budget(energy_kwh=limit)
    with pytest.raises(UsageError, match=r"of .* grams leaves nothing to train with"):
        Budget(emissions_g=limit)


def test_what_earlier_stages_spent_is_used() -> None:
    budget = Budget(emissions_g=100.0, energy_kwh=1.0, spent_g=20.0, spent_kwh=0.5)
    assert budget.used(totals(0.25, 10.0)) == pytest.approx(0.75)  # of the energy
    assert budget.used(totals(0.1, 70.0)) == pytest.approx(0.9)  # of the grams


def test_the_limit_whose_figure_is_unknown_does_not_count_but_is_said_once() -> None:
    said: list[str] = []
    watch = BudgetWatch(Budget(emissions_g=100.0, energy_kwh=1.0), said.append)
    for _ in range(3):
        assert not watch.spent(totals(0.5, None), "now")
    assert said == ["a budget cannot be held: what is used is unknown here"]
    assert watch.spent(totals(1.0, None), "now")  # the other limit still holds


def test_each_mark_is_said_once() -> None:
    said: list[str] = []
    watch = BudgetWatch(Budget(energy_kwh=1.0), said.append)
    looks = [watch.spent(totals(kwh), f"at {kwh}") for kwh in (0.0, 0.79, 0.8, 0.9, 1.0, 1.1)]
    assert looks == [False, False, False, False, True, True]
    assert said == ["80% of the budget is used at 0.8", "the budget is spent at 1.0"]


def test_nothing_metered_yet_is_no_unknown() -> None:
    said: list[str] = []
    assert not BudgetWatch(Budget(energy_kwh=1.0), said.append).spent(Totals(), "now")
    assert said == []


def test_without_a_limit_nothing_is_ever_spent() -> None:
    said: list[str] = []
    assert not BudgetWatch(Budget(), said.append).spent(totals(1e9), "now")
    assert said == []
