"""The pipeline run as a whole: the reports on disk, summed up, and its line in MLflow."""

from collections.abc import Mapping, Sequence
from typing import Any

from lowtide.artifacts import STAGES, read_json, report_path
from lowtide.artifacts import TRAINING as TRAINING
from lowtide.errors import ArtifactError
from lowtide.params import ObjectiveParams, Params
from lowtide.tracking import Run, link_cached

Reports = Mapping[str, Mapping[str, Any]]


def read_reports() -> dict[str, dict[str, Any]]:
    """The reports that are on disk, by stage; those not yet made are left out."""
    reports = {}
    for stage in STAGES:
        try:
            reports[stage] = read_json(report_path(stage))
        except ArtifactError:
            if report_path(stage).exists():
                raise
    return reports


def total(reports: Reports, key: str, stages: Sequence[str] = TRAINING) -> float | None:
    """Sum over the stages that make the model; None if one of them is unknown."""
    values: list[float | None] = [reports[stage].get(key) for stage in stages]
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def training_provenance(reports: Reports, stages: Sequence[str] = TRAINING) -> dict[str, str]:
    """What the sums over training rest on. Stages that were cached may be of another host."""
    parts = [reports[stage]["provenance"] for stage in stages]
    keys = ("energy", "intensity", "clock", "host", "commit")
    return {
        key: " and ".join(sorted({str(part[key] or "unknown") for part in parts})) for key in keys
    }


def pipeline_metrics(reports: Reports) -> dict[str, float]:
    """The figures by which pipeline runs are compared; unknown ones are absent."""
    evaluation = reports["evaluate"]
    chosen = evaluation["candidates"][evaluation["model"]]
    figures = {
        "test_accuracy": chosen["accuracy"],
        "teacher_accuracy": evaluation["candidates"]["teacher"]["accuracy"],
        "training_energy_kwh": total(reports, "energy_kwh"),
        "training_emissions_g": total(reports, "emissions_g"),
        "run_now_emissions_g": total(reports, "run_now_emissions_g"),
        "inference_energy_j": chosen["inference_energy_j"],
        "inference_batch_size": chosen["batch_size"],  # images of the batches that took it
        "inference_latency_ms_p50": chosen["latency_ms_p50"],
        "model_size_bytes": chosen["size_bytes"],
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def objective(metrics: Mapping[str, float], params: Params) -> dict[str, float]:
    """L = alpha L_accuracy + beta E + gamma C of a finished pipeline, and its three terms.

    L_accuracy is the test error; energy and emissions of training are in units of their budgets,
    so that the weights are comparable numbers. Unknown figures leave the sum out.
    """
    weights: ObjectiveParams = params.objective
    terms = {"objective_accuracy": weights.alpha * (1 - metrics["test_accuracy"])}
    normalised = (
        ("energy", weights.beta, "training_energy_kwh", params.budgets.training_energy_kwh_max),
        ("carbon", weights.gamma, "training_emissions_g", params.budgets.training_emissions_g_max),
    )
    for name, weight, metric, budget in normalised:
        if metric in metrics and budget > 0:
            terms[f"objective_{name}"] = weight * metrics[metric] / budget
    if len(terms) == len(normalised) + 1:
        terms["objective"] = sum(terms.values())
    return terms


def record_pipeline(run: Run, pipeline_id: str, reports: Reports, params: Params) -> None:
    """Log the comparison metrics, and link the stages that another pipeline run has made."""
    metrics = pipeline_metrics(reports)
    run.log_metrics({**metrics, **objective(metrics, params)})
    run.set_tags({"lowtide.verdict": "passed" if reports["judge"]["passed"] else "refused"})
    for stage, report in reports.items():
        if report["pipeline_id"] != pipeline_id:
            link_cached(run, stage, report["mlflow_run_id"] or report["stage_run_id"])
