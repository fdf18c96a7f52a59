"""The learning rate: one cycle, cut short by a landing without a jump."""

from dataclasses import replace

import pytest

from lowtide.controller.knobs import Knobs
from lowtide.training.schedule import image_side, learning_rate
from tests.training.small import RECIPE

LONG = RECIPE.model_copy(update={"epochs": 20, "learning_rate": 0.4})
KNOBS = Knobs(8, "fp32", end=20.0)


def test_up_over_the_first_fifth_then_down_to_nothing() -> None:
    assert learning_rate(0.0, LONG, KNOBS) == 0
    assert learning_rate(2.0, LONG, KNOBS) == pytest.approx(0.2)
    assert learning_rate(4.0, LONG, KNOBS) == pytest.approx(0.4)
    assert learning_rate(12.0, LONG, KNOBS) == pytest.approx(0.2)
    assert learning_rate(20.0, LONG, KNOBS) == 0
    assert learning_rate(20.5, LONG, KNOBS) == 0


@pytest.mark.parametrize("schedule", ["cycle", "constant"])
def test_a_landing_begins_where_the_rate_is_and_ends_at_nothing(schedule: str) -> None:
    recipe = LONG.model_copy(update={"schedule": schedule})
    landing = replace(KNOBS, end=12.0, landing_from=8.0)
    assert learning_rate(8.0, recipe, landing) == learning_rate(8.0, recipe, KNOBS)
    rates = [learning_rate(8 + part / 10, recipe, landing) for part in range(41)]
    assert rates == sorted(rates, reverse=True)
    assert rates[20] == pytest.approx(rates[0] / 2)
    assert rates[40] == 0
    assert learning_rate(13.0, recipe, landing) == 0
    assert learning_rate(5.0, recipe, landing) == learning_rate(5.0, recipe, KNOBS)


def test_a_landing_that_ends_where_it_begins_is_no_division_by_zero() -> None:
    assert learning_rate(8.0, LONG, replace(KNOBS, end=8.0, landing_from=8.0)) > 0
    assert learning_rate(8.1, LONG, replace(KNOBS, end=8.0, landing_from=8.0)) == 0


def test_without_a_cycle_the_rate_is_the_peak_throughout() -> None:
    constant = LONG.model_copy(update={"schedule": "constant"})
    assert {learning_rate(epoch, constant, KNOBS) for epoch in (0.0, 7.5, 19.9)} == {0.4}


def test_it_scales_with_the_gain_of_the_batch_and_after_a_restore() -> None:
    scaled = replace(KNOBS, gain=3.0, rate_factor=0.25)
    assert learning_rate(4.0, LONG, scaled) == pytest.approx(0.75 * 0.4)


def test_images_are_whole_for_the_last_part_and_once_it_lands() -> None:
    small = replace(KNOBS, image_scale=0.5)
    assert image_side(0.0, 32, small) == 16
    assert image_side(7.0, 32, small) == 24
    assert image_side(14.0, 32, small) == 32
    assert image_side(0.0, 32, KNOBS) == 32
    landed = replace(small, end=8.0, landing_from=5.0, landed=True)
    assert image_side(5.0, 32, landed) == 32


def test_cut_by_a_budget_images_grow_on_towards_the_new_end() -> None:
    cut = replace(KNOBS, image_scale=0.5, end=10.0, landing_from=3.5, cut=True)
    assert image_side(3.5, 32, cut) == 24
    assert image_side(7.0, 32, cut) == 32


def test_a_shorter_cycle_has_the_same_peak() -> None:
    short = replace(KNOBS, end=10.0, cycle=10.0)
    assert learning_rate(2.0, LONG, short) == pytest.approx(0.4)
    assert learning_rate(6.0, LONG, short) == pytest.approx(0.2)
    assert learning_rate(10.0, LONG, short) == 0
