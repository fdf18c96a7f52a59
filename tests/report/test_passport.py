"""The passport says of each stage where and how its figures were taken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowtide.artifacts import REPORTS, report_path, write_json
from lowtide.params import load_params
from lowtide.report.passport import HTML, passport, write_passport

Reports = dict[str, dict[str, Any]]


@pytest.fixture
def written(write_params: Callable[..., Path]) -> Callable[[Reports], str]:
    """The page of some reports."""

    def write(reports: Reports) -> str:
        for stage, report in reports.items():
            write_json(report_path(stage), report)
        for stage in ("train", "distill", "prune"):
            curve = REPORTS / f"{stage}_curve.csv"
            curve.write_text("epoch,train_loss,val_accuracy\n1,2.0,0.5\n2,1.0,0.8\n")
        write_passport(load_params(write_params()))
        return HTML.read_text()

    return write


def elsewhere(reports: Reports) -> Reports:
    """Training was cached from another host, with a counter and a grid that this one lacks."""
    for stage in ("train", "distill"):
        reports[stage]["provenance"] |= {
            "energy": "measured", "host": "lighthouse", "commit": "beef", "intensity": "gb",
        }  # fmt: skip
    return reports


def test_stages_of_two_hosts_have_two_origins(
    reports: Reports, write_params: Callable[..., Path]
) -> None:
    content = passport(elsewhere(reports), load_params(write_params()))
    assert [(o["host"], o["commit"], o["stages"]) for o in content["origins"]] == [
        ("shore", "c0ffee", ["prepare", "prune", "quantize", "export", "evaluate", "judge"]),
        ("lighthouse", "beef", ["train", "distill"]),
    ]
    assert content["stages"]["train"]["provenance"]["energy"] == "measured"
    assert content["stages"]["prune"]["provenance"]["energy"] == "estimated"
    assert content["provenance"]["energy"] == "estimated and measured"
    assert content["provenance"]["intensity"] == "gb and trace"


def test_the_page_says_measured_or_estimated_for_each_stage(
    reports: Reports, written: Callable[[Reports], str]
) -> None:
    page = written(elsewhere(reports))
    row = {name: page.partition(f"<tr><td>{name}</td>")[2].partition("</tr>")[0]
           for name in reports}  # fmt: skip
    assert "measured" in row["train"]
    assert "gb, replay clock" in row["train"]
    assert "estimated" in row["evaluate"]
    assert "train, distill: commit beef, host lighthouse" in page


def test_the_page_has_the_teacher_in_torch_and_the_layers(
    reports: Reports, written: Callable[[Reports], str]
) -> None:
    page = written(reports)
    assert "<tr><td>teacher in torch</td>" in page
    assert "net.stem (Conv)" in page
    reports["evaluate"]["layers"] = {}  # of a GPU
    assert "<h2>Layers</h2>" not in written(reports)


def test_unknown_energy_is_a_word_on_the_page(
    reports: Reports, written: Callable[[Reports], str]
) -> None:
    reports["prune"] |= {"energy_kwh": None, "emissions_g": None, "run_now_emissions_g": None}
    reports["evaluate"]["candidates"]["int8"]["inference_energy_j"] = None
    assert "unknown" in written(reports).partition("<tr><td>prune</td>")[2].partition("</tr>")[0]


def test_the_page_says_what_became_of_each_technique_and_of_the_target(
    reports: Reports, written: Callable[[Reports], str]
) -> None:
    page = written(reports).partition("<h2>Compression</h2>")[2].partition("</ul>")[0]
    assert "<li>distill: kept: 1.79 times less than before</li>" in page
    assert "the target of 6 is missed</li>" in page
