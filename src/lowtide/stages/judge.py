"""The gate, and the pipeline's own line in MLflow."""

from typing import Any

from lowtide import artifacts
from lowtide.artifacts import read_json, report_path, write_json
from lowtide.evaluation.judge import from_reports, judge
from lowtide.params import Params
from lowtide.stages.context import StageContext

JUDGED = ("train", "distill", "prune", "quantize", "export", "evaluate")


def run(params: Params, context: StageContext) -> dict[str, Any]:
    reports = {name: read_json(report_path(name)) for name in JUDGED}
    verdict = judge(from_reports(reports), params.budgets).to_json()
    write_json(artifacts.VERDICT, verdict)
    context.run.log_artifact(artifacts.VERDICT)
    return verdict
