"""When the pipeline worked, over the grid's intensity: the passport's first plot."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from lowtide.carbon.signal import IntensityValue
from lowtide.energy.ledger import Ledger
from lowtide.pipeline import TRAINING
from lowtide.report.plots import BLUE, GREEN, GREY, new_figure, svg_text

HOUR = timedelta(hours=1)
JOINED = 0.002  # of the whole time: a shorter gap between two spans cannot be seen


@dataclass(frozen=True)
class Span:
    """A stretch of the clock in which a stage worked, or was parked."""

    start: datetime
    end: datetime
    kind: str  # training | other stages | parked


def read_spans(ledger: Ledger, reports: Mapping[str, Mapping[str, Any]]) -> list[Span]:
    """Of the stages that the newest pipeline run has executed, in order."""
    newest = reports["judge"]["pipeline_id"]
    found = [
        span
        for stage, report in reports.items()
        if report["pipeline_id"] == newest
        for span in _joined(_of_stage(ledger, stage, report["stage_run_id"]), timedelta())
    ]
    spans = sorted(found, key=lambda span: (span.start, span.end))
    gap = JOINED * (spans[-1].end - spans[0].start) if spans else timedelta()
    return _joined(spans, gap)


def _of_stage(ledger: Ledger, stage: str, run_id: str) -> Iterator[Span]:
    for interval in ledger.each_interval(run_id):
        yield Span(interval.started_at, interval.ended_at, _kind(stage, interval.parked))


def timeline_plot(spans: Sequence[Span], values: Sequence[IntensityValue]) -> str:
    """The spans as bands over the intensity, g/kWh by the clock that they were taken with."""
    figure, axes = new_figure()
    for run in _without_gaps(values):
        edges = [run[0].start, *(value.end for value in run)]
        axes.stairs([v.intensity_g_per_kwh for v in run], edges, color=BLUE, baseline=None)  # type: ignore[arg-type]
    colours = {"training": GREEN, "other stages": "#e9c46a", "parked": GREY}
    for kind, colour in colours.items():
        found = [span for span in spans if span.kind == kind]
        for index, span in enumerate(found):
            axes.axvspan(
                span.start, span.end, color=colour, alpha=0.6, linewidth=0,  # type: ignore[arg-type]
                label=None if index else kind,
            )  # fmt: skip
    axes.set(ylabel="g CO2e per kWh", ylim=(0, None))
    figure.autofmt_xdate()
    axes.legend(frameon=False)
    return svg_text(figure)


def _without_gaps(values: Sequence[IntensityValue]) -> list[list[IntensityValue]]:
    """Runs of values of which each begins where the last has ended."""
    runs: list[list[IntensityValue]] = []
    for value in values:
        if runs and runs[-1][-1].end == value.start:
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs


def _kind(stage: str, parked: bool) -> str:
    if parked:
        return "parked"
    return "training" if stage in TRAINING else "other stages"


def _joined(spans: Iterable[Span], gap: timedelta) -> list[Span]:
    """One for what follows closely and is of one kind; all components are metered side by side."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].kind == span.kind and span.start - joined[-1].end <= gap:
            joined[-1] = replace(joined[-1], end=max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined
