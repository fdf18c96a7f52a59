"""The gate: passes what is within budget, names all that is not, refuses the unknown."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowtide.evaluation.answers import Answers, read_answers, write_answers
from lowtide.evaluation.figures import Figures, from_reports
from lowtide.evaluation.judge import Verdict, judge
from lowtide.evaluation.reasons import INFORM_ONLY, Reason
from lowtide.params import load_params
from lowtide.report.text import verdict_text
from tests.evaluation.judged import answers, reports

BUDGETS = load_params(Path(__file__).parents[2] / "params.yaml").budgets.model_copy(
    update={"champion_drop_max": 0.01, "robustness_drop_max": 0.02}
)
CHAMPION_CHECKS = {"champion_drop_high", "robustness_drop_high"}
GOOD = answers(model=range(5, 15))


def figures(said: Answers, champion: dict[str, Any] | None = None) -> Figures:
    return from_reports(reports(said, champion), said, BUDGETS.confidence)


def verdict(said: Answers, champion: dict[str, Any] | None = None) -> Verdict:
    return judge(figures(said, champion), BUDGETS)


def reason(check: str, found: Verdict) -> Reason:
    return next(one for one in found.reasons if one.check == check)


def refused(found: Verdict) -> set[str]:
    return {one.check for one in found.reasons if not one.passed}


def test_without_a_champion_what_is_within_every_budget_passes() -> None:
    found = verdict(GOOD)
    assert found.passed
    assert found.champion is None
    for check in CHAMPION_CHECKS:
        assert reason(check, found).value is None
        assert "no champion when it was measured" in reason(check, found).detail
    assert "note champion_drop_high: none, limit 0.01" in verdict_text(found.to_json())


def test_a_better_model_passes() -> None:
    found = verdict(answers(model=range(10), champion=range(30)), {})
    assert found.passed
    assert found.model_sha256 == "a" * 64
    assert found.champion == {"version": 7, "sha256": "c" * 64}
    assert (
        "better: +2.00 points against the champion, version 7: 0 images lost, 20 won"
        in reason("champion_drop_high", found).detail
    )


def test_a_model_that_is_worse_within_noise_passes_where_that_is_allowed() -> None:
    said = answers(model=range(2, 13), champion=range(10))
    found = verdict(said, {})
    assert found.passed
    assert "the same within noise: -0.10 points" in reason("champion_drop_high", found).detail
    strict = judge(figures(said, {}), BUDGETS.model_copy(update={"champion_drop_max": 0.002}))
    assert refused(strict) == {"champion_drop_high"}
    assert "more test images would tell more" in reason("champion_drop_high", strict).detail


def test_a_worse_model_is_refused() -> None:
    found = verdict(answers(model=range(10, 35), champion=range(10)), {})
    assert refused(found) >= {"champion_drop_high"}
    assert "worse: -1.50 points" in reason("champion_drop_high", found).detail


def test_a_model_that_noise_confuses_more_than_the_champion_is_refused() -> None:
    said = answers(range(10), range(10), {"model": range(80), "champion": range(40)})
    found = verdict(said, {})
    assert refused(found) == {"robustness_drop_high"}
    assert "-4.00 points under noise" in reason("robustness_drop_high", found).detail


def test_a_champion_of_other_images_is_a_refusal_that_says_what_to_run() -> None:
    found = verdict(GOOD, {"incomparable": "it takes images [3, 32, 32], this data has [1, 8, 8]"})
    assert refused(found) == CHAMPION_CHECKS
    detail = reason("champion_drop_high", found).detail
    assert "not comparable with version 7: it takes images [3, 32, 32]" in detail
    assert "`python -m flows.promote --force" in detail


def test_without_its_answers_a_champion_is_not_taken_for_none() -> None:
    found = verdict(GOOD, {})
    assert refused(found) == CHAMPION_CHECKS
    assert "run `lowtide stage evaluate`" in reason("champion_drop_high", found).detail


KNOWN = [
    name
    for name in vars(figures(GOOD))
    if name not in {"model_sha256", "hosts", "champion", "sources", "broken"}
]


@pytest.mark.parametrize("figure", KNOWN)
def test_an_unknown_figure_is_refused(figure: str) -> None:
    found = judge(replace(figures(GOOD), **{figure: None}), BUDGETS)
    assert not found.passed
    first = next(one for one in found.reasons if not one.passed)
    assert first.value is None
    assert "`dvc repro --force` measures anew" in first.detail


def test_unknown_emissions_of_known_energy_name_the_replay() -> None:
    found = judge(replace(figures(GOOD), training_emissions_g=None), BUDGETS)
    assert "lower carbon.replay_speed" in reason("training_emissions_g", found).detail
    found = judge(replace(figures(GOOD), training_energy_kwh=None), BUDGETS)
    assert "replay_speed" not in reason("training_energy_kwh", found).detail


def test_names_everything_that_is_wrong() -> None:
    wrong = replace(figures(GOOD), accuracy=0.5, training_emissions_g=1e6, calibration_error=0.5)
    assert refused(judge(wrong, BUDGETS)) == {
        "accuracy", "training_emissions_g", "calibration_error"
    }  # fmt: skip


def test_confidence_that_is_off_is_measured() -> None:
    said = replace(GOOD, confidence={name: array * 0 + 0.6 for name, array in
                                     GOOD.confidence.items()})  # fmt: skip
    assert figures(said).calibration_error == pytest.approx(0.39, abs=1e-6)
    assert refused(verdict(said)) == {"calibration_error"}


def test_confidence_that_is_no_number_is_unknown() -> None:
    said = replace(GOOD, confidence={name: array * np.nan for name, array in
                                     GOOD.confidence.items()})  # fmt: skip
    found = verdict(said)
    assert refused(found) == {"calibration_error"}
    assert reason("calibration_error", found).value is None


@pytest.mark.parametrize(
    ("stage", "changes", "says"),
    [
        ("evaluate", {"data_sha256": "e" * 64}, "another test set"),
        ("evaluate", {"data_sha256": None}, "another test set"),
        ("train", {"provenance": {"host": "shore", "energy": "unknown", "intensity": "trace",
                                  "clock": "system"}}, "dvc repro --force --single-item train"),
    ],
)  # fmt: skip
def test_figures_that_do_not_fit_together_are_refused(
    stage: str, changes: dict[str, Any], says: str
) -> None:
    made = reports(GOOD)
    made[stage] |= changes
    found = judge(from_reports(made, GOOD, 0.95), BUDGETS)
    assert refused(found) == {"provenance"}
    assert says in reason("provenance", found).detail


def test_answers_of_another_model_are_refused() -> None:
    found = judge(from_reports(reports(GOOD), answers(model=range(3)), 0.95), BUDGETS)
    assert refused(found) == {"provenance"}
    assert "answers.npz is of another model" in reason("provenance", found).detail


def test_every_figure_says_what_it_rests_on() -> None:
    found = verdict(answers(range(10), range(10)), {})
    for one in found.reasons:
        assert one.source or one.check == "provenance"
    assert "estimated energy" in reason("inference_energy_j", found).source
    assert "1000 test images" in reason("accuracy", found).source
    assert "replay clock" in reason("training_emissions_g", found).source


def test_joules_of_several_hosts_are_not_compared() -> None:
    found = judge(replace(figures(GOOD), hosts=frozenset({"a", "b"})), BUDGETS)
    assert refused(found) == {"break_even_inferences"}
    assert "several hosts are not compared: a, b" in reason("break_even_inferences", found).detail


def test_a_wide_interval_to_the_teacher_is_told_and_does_not_decide() -> None:
    lenient = BUDGETS.model_copy(update={"accuracy_drop_max": 0.001})
    found = judge(figures(GOOD), lenient)
    assert found.passed
    assert "above the limit: for information" in reason("accuracy_drop_high", found).detail
    assert "accuracy_drop_high" in INFORM_ONLY


def test_the_verdict_goes_through_json_and_answers_through_a_file(tmp_path: Path) -> None:
    said = answers(range(10), range(12))
    write_answers(tmp_path / "answers.npz", said)
    again = read_answers(tmp_path / "answers.npz")
    assert verdict(again, {}) == verdict(said, {})
    content = json.loads(json.dumps(verdict(said, {}).to_json(), allow_nan=False))
    assert {"check", "passed", "value", "limit"} <= set(content["reasons"][0])
