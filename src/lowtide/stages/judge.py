"""The gate, and the pipeline's own line in MLflow."""

from typing import Any

from lowtide import artifacts
from lowtide.artifacts import TRAINING, read_json, report_path, write_json
from lowtide.evaluation.answers import read_answers
from lowtide.evaluation.figures import from_reports
from lowtide.evaluation.judge import judge
from lowtide.params import Params
from lowtide.stages.context import StageContext

JUDGED = ("prepare", *TRAINING, "evaluate")


def run(params: Params, context: StageContext) -> dict[str, Any]:
    reports = {name: read_json(report_path(name)) for name in JUDGED}
    answers = read_answers(artifacts.ANSWERS)
    verdict = judge(
        from_reports(reports, answers, params.budgets.confidence), params.budgets
    ).to_json()
    write_json(artifacts.VERDICT, verdict)
    context.run.log_artifact(artifacts.VERDICT)
    return verdict
