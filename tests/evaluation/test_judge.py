"""The gate: passes what is within budget, names all that is not, refuses the unknown."""

from dataclasses import replace
from pathlib import Path

import pytest

from lowtide.evaluation.judge import (
    Figures,
    Verdict,
    break_even_inferences,
    from_reports,
    judge,
)
from lowtide.params import load_params

GOOD = Figures(
    accuracy=0.98,
    accuracy_drop=0.002,
    accuracy_drop_high=0.006,
    worst_class_recall=0.93,
    onnx_agreement=0.999,
    training_emissions_g=1.0,
    training_energy_kwh=0.001,
    inference_energy_j=0.0001,
    teacher_inference_energy_j=0.001,
    latency_ms_p95=0.2,
    model_size_bytes=100_000,
    hosts=frozenset({"a"}),
)


@pytest.fixture(scope="module")
def budgets():  # type: ignore[no-untyped-def]
    return load_params(Path(__file__).parents[2] / "params.yaml").budgets


def detail_of(check: str, verdict: Verdict) -> str:
    return next(reason.detail for reason in verdict.reasons if reason.check == check)


def test_passes_what_is_within_every_budget(budgets) -> None:  # type: ignore[no-untyped-def]
    assert judge(GOOD, budgets).passed


@pytest.mark.parametrize("figure", [name for name in vars(GOOD) if name != "hosts"])
def test_an_unknown_figure_is_refused(budgets, figure: str) -> None:  # type: ignore[no-untyped-def]
    verdict = judge(replace(GOOD, **{figure: None}), budgets)
    assert not verdict.passed


def test_names_everything_that_is_wrong(budgets) -> None:  # type: ignore[no-untyped-def]
    verdict = judge(replace(GOOD, accuracy=0.5, training_emissions_g=1e6), budgets)
    failed = {reason.check for reason in verdict.reasons if not reason.passed}
    assert failed == {"accuracy", "training_emissions_g"}


def test_a_model_that_saves_nothing_never_breaks_even(budgets) -> None:  # type: ignore[no-untyped-def]
    dearer = replace(GOOD, inference_energy_j=0.002)
    assert break_even_inferences(dearer) is None
    verdict = judge(dearer, budgets)
    assert not verdict.passed
    assert "never" in detail_of("break_even_inferences", verdict)


def test_joules_of_several_hosts_are_not_compared(budgets) -> None:  # type: ignore[no-untyped-def]
    verdict = judge(replace(GOOD, hosts=frozenset({"a", "b"})), budgets)
    assert not verdict.passed
    assert "several hosts are not compared: a, b" in detail_of("break_even_inferences", verdict)


def test_the_hosts_are_those_of_training_and_evaluation() -> None:
    stages = {
        name: {"emissions_g": 1.0, "energy_kwh": 0.1, "provenance": {"host": "a"}}
        for name in ("train", "distill", "prune", "quantize")
    }
    keys = ("accuracy", "accuracy_drop", "accuracy_drop_high", "worst_class_recall",
            "onnx_agreement", "inference_energy_j", "latency_ms_p95", "size_bytes")  # fmt: skip
    candidates = {name: dict.fromkeys(keys, 1.0) for name in ("teacher", "int8")}
    evaluation = {"model": "int8", "candidates": candidates, "provenance": {"host": "b"}}
    figures = from_reports({**stages, "evaluate": evaluation})
    assert figures.hosts == {"a", "b"}
    assert figures.training_energy_kwh == pytest.approx(0.4)


def test_a_wide_interval_is_told_and_does_not_decide(budgets) -> None:  # type: ignore[no-untyped-def]
    verdict = judge(replace(GOOD, accuracy_drop_high=0.5), budgets)
    assert verdict.passed
    assert "above the limit: for information" in detail_of("accuracy_drop_high", verdict)
    assert "within the limit" in detail_of("accuracy_drop_high", judge(GOOD, budgets))


def test_break_even_is_training_over_saving() -> None:
    figures = replace(GOOD, training_energy_kwh=1 / 3.6e6, inference_energy_j=0.0)
    assert break_even_inferences(figures) == pytest.approx(1000)
