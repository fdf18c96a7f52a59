"""`lowtide judge`: each case of champion and candidate, with its verdict and reasons as shown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lowtide.artifacts import ANSWERS, report_path, write_json
from lowtide.cli import app
from lowtide.evaluation.answers import Answers, write_answers
from lowtide.evaluation.reasons import UNKNOWN
from tests.evaluation.judged import answers, reports

BUDGETS = {"champion_drop_high": 0.01, "robustness_drop_high": 0.02}
GOOD = answers(range(5, 15))
Reports = dict[str, dict[str, Any]]


def unmetered() -> Reports:
    """Nothing here could tell energy, neither of training nor of an inference."""
    made = reports(GOOD)
    made["train"] |= {"energy_kwh": None, "emissions_g": None}
    made["train"]["provenance"]["energy"] = "unknown"
    made["evaluate"]["candidates"]["int8"] |= {"inference_energy_j": None, "provenance": "unknown"}
    return made


BETTER = answers(range(10), range(30))
AS_GOOD = answers(range(2, 13), range(10))
WORSE = answers(range(10, 35), range(10))
OTHER = {"incomparable": "it takes images [3, 32, 32], this data has [1, 8, 8]"}
CASES: dict[str, tuple[Answers, Reports, int, list[str]]] = {
    "better": (BETTER, reports(BETTER, {}), 0, [
        "ok   champion_drop_high: -0.01175, limit 0.01  (better: +2.00 points against the "
        "champion, version 7: 0 images lost, 20 won, p 9.5e-07)",
    ]),
    "worse within noise": (AS_GOOD, reports(AS_GOOD, {}), 0, [
        "ok   champion_drop_high: 0.007228, limit 0.01  (the same within noise: -0.10 points "
        "against the champion, version 7: 3 images lost, 2 won, p 0.69)",
    ]),
    "worse": (WORSE, reports(WORSE, {}), 3, [
        "FAIL accuracy_drop: 0.015, limit 0.01  (-1.50 points against the teacher: 25 images lost, "
        "10 won, p 0.011)",
        "FAIL champion_drop_high: 0.02757, limit 0.01  (worse: -1.50 points against the champion, "
        "version 7: 25 images lost, 10 won, p 0.011)",
    ]),
    "no champion": (GOOD, reports(GOOD), 0, [
        "note champion_drop_high: none, limit 0.01  (no champion when it was measured: nothing to "
        "compare with)",
    ]),
    "incomparable": (GOOD, reports(GOOD, OTHER), 3, [
        f"FAIL {check}: unknown, limit {limit}  (not comparable with version 7: it takes images "
        "[3, 32, 32], this data has [1, 8, 8]; where that is meant, promote it with `python -m "
        "flows.promote --force --by WHO --why WHY`)"
        for check, limit in BUDGETS.items()
    ]),
    "unknown energy": (GOOD, unmetered(), 3, [
        *(
            f"FAIL {check}: unknown, limit {limit}  ({UNKNOWN})"
            for check, limit in (
                ("training_emissions_g", "50"), ("training_energy_kwh", "0.2"),
                ("inference_energy_j", "0.01"), ("break_even_inferences", "1e+08"),
            )
        ),
        "FAIL provenance: 2, limit 0  (joules of an inference have no source: run `lowtide stage "
        "evaluate` where `lowtide doctor` finds one; energy of train has no source: run `dvc repro "
        "--force --single-item train`)",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_case_shows_verdict_and_reasons(case: str, write_params: Callable[..., Path]) -> None:
    said, made, exit_code, shown = CASES[case]
    write_params(budgets={f"{check[:-5]}_max": limit for check, limit in BUDGETS.items()})
    for stage, report in made.items():
        write_json(report_path(stage), report)
    write_answers(ANSWERS, said)
    text = CliRunner().invoke(app, ["judge"])
    first, *lines = (line.strip() for line in text.output.splitlines())
    assert text.exit_code == exit_code
    assert first == f"verdict: {'passed' if exit_code == 0 else 'REFUSED'}"
    assert set(shown) <= set(lines)
    assert failing(lines) == failing(shown)
    told = CliRunner().invoke(app, ["judge", "--json"])
    content = json.loads(told.output)
    assert (content["passed"], told.exit_code) == (exit_code == 0, exit_code)
    refused = [reason["check"] for reason in content["reasons"] if not reason["passed"]]
    assert [line.split()[1] for line in failing(lines)] == [f"{check}:" for check in refused]


def failing(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("FAIL")]
