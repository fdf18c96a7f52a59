"""The model's passport: one page that opens without a network, and the same as JSON."""

from collections.abc import Sequence
from importlib import resources
from typing import Any

from lowtide import artifacts
from lowtide.artifacts import write_json, write_text
from lowtide.carbon.signal import IntensityValue
from lowtide.carbon.sources import open_source
from lowtide.energy.ledger import Ledger
from lowtide.errors import ArtifactError, CarbonError
from lowtide.params import Params
from lowtide.pipeline import (
    TRAINING,
    Reports,
    objective,
    pipeline_metrics,
    read_reports,
    total,
    training_provenance,
)
from lowtide.report.plots import candidates_plot, curves_plot, layers_plot, stages_plot
from lowtide.report.techniques import technique_lines
from lowtide.report.text import number, outcome
from lowtide.report.timeline import HOUR, Span, read_spans, timeline_plot

HTML = artifacts.REPORTS / "passport.html"
JSON = artifacts.REPORTS / "passport.json"
FIGURES = ("energy_kwh", "emissions_g", "run_now_emissions_g", "duration_s", "components")
OF_A_STAGE = ("energy", "intensity", "clock", "finished_at")  # of its provenance
OF_A_HOST = ("host", "cpu_count", "machine", "python", "commit", "versions")


def write_passport(params: Params) -> dict[str, Any]:
    """Write both files and return where they are, with the content.

    Raises:
        ArtifactError: the pipeline has not run to its verdict yet; names the missing stages.
    """
    reports = read_reports()
    missing = [stage for stage in artifacts.STAGES if stage not in reports]
    if missing:
        raise ArtifactError(f"no report of {', '.join(missing)} yet: run `dvc repro` first")
    content = passport(reports, params)
    write_json(JSON, content)
    write_text(HTML, _render(content, params, reports))
    return {"html": str(HTML), "json": str(JSON), "passport": content}


def passport(reports: dict[str, dict[str, Any]], params: Params) -> dict[str, Any]:
    metrics = pipeline_metrics(reports)
    evaluation = reports["evaluate"]
    emitted, at_once = (total(reports, key) for key in ("emissions_g", "run_now_emissions_g"))
    saving = None if not at_once or emitted is None else 1 - emitted / at_once
    return {
        "metrics": {**metrics, **objective(metrics, params)},
        "saving_against_run_now": saving,
        "verdict": {key: reports["judge"][key] for key in ("passed", "reasons")},
        "model": evaluation["model"],
        "runtime": evaluation["runtime"],
        "techniques": technique_lines(reports),
        "target": evaluation.get("target"),
        "candidates": evaluation["candidates"],
        "teacher_torch": evaluation["teacher_torch"],
        "layers": evaluation["layers"],
        "stages": {
            stage: {
                **{key: report[key] for key in FIGURES},
                "provenance": {key: report["provenance"][key] for key in OF_A_STAGE},
            }
            for stage, report in reports.items()
        },
        "num_pauses": sum(reports[stage].get("num_pauses", 0) for stage in TRAINING),
        "data": reports["prepare"]["data"],
        "provenance": {**reports["train"]["provenance"], **training_provenance(reports)},
        "origins": origins(reports),
    }


def origins(reports: Reports) -> list[dict[str, Any]]:
    """Where stages were made: one entry for each host, commit and set of versions."""
    found: list[dict[str, Any]] = []
    for stage, report in reports.items():
        origin = {key: report["provenance"][key] for key in OF_A_HOST}
        known = next((o for o in found if all(o[key] == origin[key] for key in OF_A_HOST)), None)
        if known is None:
            found.append(origin | {"stages": [stage]})
        else:
            known["stages"].append(stage)
    return found


def _timeline(params: Params, reports: dict[str, dict[str, Any]]) -> str | None:
    """None where the ledger is not at hand: a checkout whose results came from elsewhere."""
    if not artifacts.LEDGER.exists():
        return None
    with Ledger(artifacts.LEDGER) as ledger:
        spans = read_spans(ledger, reports)
    if not spans:
        return None
    return timeline_plot(spans, _intensities(params, spans, reports))


def _intensities(
    params: Params, spans: Sequence[Span], reports: Reports
) -> Sequence[IntensityValue]:
    """Of the time of the run; none where params.yaml has another source by now, or none answers."""
    try:
        source = open_source(params.carbon)
        if source.name != reports["judge"]["provenance"]["intensity"]:
            return []
        return source.history(spans[0].start - HOUR, max(span.end for span in spans) + HOUR)
    except CarbonError:
        return []


def _render(content: dict[str, Any], params: Params, reports: dict[str, dict[str, Any]]) -> str:
    from jinja2 import Environment, StrictUndefined

    template = (resources.files("lowtide.report") / "passport.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["figure"] = lambda value, unit="": number(value, unit).strip()
    environment.filters["outcome"] = outcome
    plots = {
        "timeline": _timeline(params, reports),
        "stages": stages_plot(content["stages"]),
        "candidates": candidates_plot(
            {**content["candidates"], "teacher in torch": content["teacher_torch"]}
        ),
        "layers": layers_plot(content["layers"]) if content["layers"] else None,
        "curves": curves_plot(
            {
                stage: artifacts.REPORTS / f"{stage}_curve.csv"
                for stage in ("train", "distill", "prune")
            }
        ),
    }
    return environment.from_string(template).render(**content, plots=plots, reports=reports)
