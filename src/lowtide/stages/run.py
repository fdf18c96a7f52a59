"""Run one stage by name: what `lowtide stage NAME` and dvc.yaml call."""

import importlib
from pathlib import Path
from typing import Any

from lowtide import artifacts
from lowtide.artifacts import STAGES
from lowtide.errors import UsageError
from lowtide.lock import pipeline_lock
from lowtide.params import load_params
from lowtide.pipeline import read_reports, record_pipeline
from lowtide.stages.context import describe, log_report, stage_context


def run_stage(name: str, params_file: Path = Path("params.yaml")) -> dict[str, Any]:
    """Compute one stage and return its report, which is also in `reports/NAME.json`."""
    if name not in STAGES:
        raise UsageError(f"no stage {name!r}: take one of {', '.join(STAGES)}")
    params = load_params(params_file)
    module = importlib.import_module(f"lowtide.stages.{name}")
    resumed = module.resumable(params) if hasattr(module, "resumable") else None
    with pipeline_lock(artifacts.STATE), stage_context(name, params, resumed) as context:
        figures = module.run(params, context)
        context.window.close()
        report = {**describe(context, context.window.totals()), **figures}
        log_report(context, report)
        if name == STAGES[-1]:
            record_pipeline(context.pipeline, context.session.pipeline_id, read_reports(), params)
            context.finish()
    return report
