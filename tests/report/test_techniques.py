"""One line says what became of a technique, by the last decision that was taken."""

from typing import Any

from lowtide.report.techniques import technique_lines

Reports = dict[str, dict[str, Any]]


def test_what_was_rolled_back_is_told_from_what_was_left_out(reports: Reports) -> None:
    reports["distill"]["technique"]["stayed"] = {"yes": False, "reason": "it saves nothing"}
    technique = reports["prune"]["technique"]
    technique["entered"]["yes"] = True
    technique["promised"] = {"yes": False, "reason": "it is not trained"}
    assert technique_lines(reports)[:2] == [
        "distill: rolled back: it saves nothing",
        "prune: left out: it is not trained",
    ]


def test_the_precision_is_told_by_its_own_reason(reports: Reports) -> None:
    reports["quantize"]["model"] = "float16"
    assert technique_lines(reports)[2] == "quantize: float16 kept: takes 1.90 times less than fp32"
    reports["quantize"] |= {"model": "fp32", "why": "saves nothing"}
    assert technique_lines(reports)[2] == "quantize: rolled back: int8 saves nothing"


def test_without_a_target_there_is_no_line_of_it(reports: Reports) -> None:
    reports["evaluate"]["target"] = None
    assert [line.partition(":")[0] for line in technique_lines(reports)] == [
        "distill", "prune", "quantize",
    ]  # fmt: skip
