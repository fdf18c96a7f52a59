"""The power limit of least cost, for any weight between energy and time."""

import pytest

from lowtide.controller.power import PowerPoint, Tradeoff, choose_power, cost_per_sample_j

# Half the power costs a fifth of the speed; a quarter costs more than half of it.
POINTS = [PowerPoint(75, 70, 40), PowerPoint(150, 140, 80), PowerPoint(300, 280, 100)]


@pytest.mark.parametrize(("eta", "limit_w"), [(0.0, 300), (1.0, 75), (0.5, 150)])
def test_the_weight_decides(eta: float, limit_w: int) -> None:
    assert choose_power(POINTS, Tradeoff(eta, 300)).limit_w == limit_w


def test_a_sample_costs_its_joules_and_the_watts_that_could_have_been() -> None:
    assert cost_per_sample_j(POINTS[1], Tradeoff(1.0, 300)) == 140 / 80
    assert cost_per_sample_j(POINTS[1], Tradeoff(0.0, 300)) == 300 / 80
    assert Tradeoff(0.5, 300).cost_j(100.0, 2.0) == 0.5 * 100 + 0.5 * 600


def test_a_weight_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Tradeoff(1.5, 300)
