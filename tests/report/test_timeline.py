"""The timeline: what the ledger holds of the newest pipeline run, as bands over the intensity."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lowtide import artifacts
from lowtide.artifacts import report_path, write_json
from lowtide.carbon.signal import IntensityValue
from lowtide.energy.ledger import Interval, Ledger
from lowtide.params import load_params
from lowtide.report.passport import HTML, write_passport
from lowtide.report.plots import BLUE
from lowtide.report.timeline import Span, read_spans, timeline_plot

NOON = datetime(2022, 4, 14, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
Reports = dict[str, dict[str, Any]]


def interval(stage: str, start: float, end: float, parked: bool = False) -> list[Interval]:
    """Of both components, side by side."""
    return [
        Interval(
            f"{stage}-run", stage, component, NOON + HOUR * start, NOON + HOUR * end, 1.0, 5.0,
            "test", "estimated", 100.0, "test", 1.0, 1.0, True, parked,
        )
        for component in ("cpu", "ram")
    ]  # fmt: skip


@pytest.fixture
def of_one_run(reports: Reports) -> Reports:
    for stage, report in reports.items():
        report |= {"pipeline_id": "new", "stage_run_id": f"{stage}-run"}
    reports["prepare"]["pipeline_id"] = "old"
    return reports


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with Ledger(artifacts.LEDGER) as ledger:
        ledger.append(interval("prepare", -90, -89))
        ledger.append([*interval("train", 0, 1), *interval("train", 1, 2)])
        ledger.append([*interval("train", 2, 8, parked=True), *interval("train", 8, 9)])
        ledger.append(interval("judge", 9, 9.5))
    return artifacts.LEDGER


def test_what_joins_is_one_span_and_what_was_cached_is_not_shown(
    ledger: Path, of_one_run: Reports
) -> None:
    with Ledger(ledger) as opened:
        spans = read_spans(opened, of_one_run)
    assert spans == [
        Span(NOON, NOON + HOUR * 2, "training"),
        Span(NOON + HOUR * 2, NOON + HOUR * 8, "parked"),
        Span(NOON + HOUR * 8, NOON + HOUR * 9, "training"),
        Span(NOON + HOUR * 9, NOON + HOUR * 9.5, "other stages"),
    ]


def test_it_is_drawn_with_and_without_an_intensity() -> None:
    spans = [Span(NOON, NOON + HOUR, "training"), Span(NOON + HOUR, NOON + HOUR * 2, "parked")]
    without, drawn = timeline_plot(spans, []), timeline_plot(spans, [value(0), value(1)])
    assert drawn.startswith("<svg")
    assert "training" in drawn
    assert "other stages" not in drawn
    assert lines(drawn) == lines(without) + 1


def test_a_gap_is_not_drawn_over() -> None:
    spans = [Span(NOON, NOON + HOUR, "training")]
    gap = lines(timeline_plot(spans, [value(0), value(1), value(4)]))
    assert gap == lines(timeline_plot(spans, [value(0), value(1)])) + 1


def value(hour: int) -> IntensityValue:
    start = NOON + HOUR * hour
    return IntensityValue("Z", start, start + HOUR, 200.0, "average", "measured", "test")


def lines(drawn: str) -> int:
    """Paths in the colour of the intensity."""
    return drawn.count(BLUE)


def test_the_page_shows_it_where_the_ledger_is_at_hand(
    ledger: Path, of_one_run: Reports, write_params: Callable[..., Path]
) -> None:
    for stage, report in of_one_run.items():
        write_json(report_path(stage), report)
    for stage in ("train", "distill", "prune"):
        (artifacts.REPORTS / f"{stage}_curve.csv").write_text("epoch,val_accuracy\n1,0.5\n")
    params = load_params(write_params())
    write_passport(params)
    assert "When it ran" in HTML.read_text()
    ledger.unlink()
    write_passport(params)
    assert "When it ran" not in HTML.read_text()
