"""What a model's making took, and after how many inferences it is saved."""

from dataclasses import replace

import pytest

from lowtide.evaluation.breaking_even import (
    break_even_inferences,
    champion_break_even,
    teacher_break_even,
)
from lowtide.evaluation.figures import from_reports
from tests.evaluation.judged import answers, reports

SAID = answers(range(10), range(10))
FIGURES = from_reports(reports(SAID, {}), SAID, 0.95)


def test_break_even_is_training_over_saving() -> None:
    assert break_even_inferences(1 / 3.6e6, 0.0, 0.001) == pytest.approx(1000)
    assert break_even_inferences(None, 0.0, 0.001) is None


def test_what_is_expected_decides() -> None:
    """0.004 kWh of training, 0.9 mJ saved an inference."""
    assert teacher_break_even(FIGURES, 1.7e7).passed
    late = teacher_break_even(FIGURES, 1.5e7)
    assert not late.passed
    assert late.value == pytest.approx(1.6e7)


def test_a_model_that_saves_nothing_never_breaks_even() -> None:
    found = teacher_break_even(replace(FIGURES, inference_energy_j=0.002), 1e9)
    assert not found.passed
    assert "never" in found.detail


def test_against_the_champion_it_is_told_and_does_not_decide() -> None:
    told = champion_break_even(FIGURES, 1e6)
    assert told.passed
    assert told.value == pytest.approx(1.44e8)
    assert "above what is expected: for information" in told.detail
    as_much = champion_break_even(replace(FIGURES, inference_energy_j=0.0002), 1e6)
    assert as_much.passed
    assert as_much.value is None
    assert as_much.detail == "never: an inference takes no less than the champion's"
    apart = champion_break_even(replace(FIGURES, hosts=frozenset({"a", "b"})), 1e6)
    assert apart.passed
    assert "several hosts are not compared: a, b" in apart.detail
