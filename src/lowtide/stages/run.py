"""Run one stage by name: what `lowtide stage NAME` and dvc.yaml call."""

import importlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lowtide import artifacts
from lowtide.artifacts import STAGES
from lowtide.energy.sources import EnergySource, open_sources
from lowtide.errors import UsageError
from lowtide.lock import pipeline_lock
from lowtide.params import Params, load_params
from lowtide.pipeline import read_reports, record_pipeline
from lowtide.stages.context import describe, log_report, stage_context


def run_stage(name: str, params_file: Path = Path("params.yaml")) -> dict[str, Any]:
    """Compute one stage and return its report, which is also in `reports/NAME.json`."""
    if name not in STAGES:
        raise UsageError(f"no stage {name!r}: take one of {', '.join(STAGES)}")
    params = load_params(params_file)
    with (
        pipeline_lock(artifacts.STATE),
        _load(name) as (module, sources),
        stage_context(name, params, _resumable(module, params), sources) as context,
    ):
        figures = module.run(params, context)
        context.window.close()
        report = {**describe(context, context.window.totals()), **figures}
        log_report(context, report)
        if name == STAGES[-1]:
            record_pipeline(context.pipeline, context.session.pipeline_id, read_reports(), params)
            context.finish()
    return report


@contextmanager
def _load(name: str) -> Iterator[tuple[Any, list[EnergySource]]]:
    """Import the stage while the energy sources look at the hardware: each takes a second."""
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_sources)
        module = importlib.import_module(f"lowtide.stages.{name}")
        sources = opening.result()
    try:
        yield module, sources
    finally:
        for source in sources:
            source.close()


def _resumable(module: Any, params: Params) -> str | None:
    return module.resumable(params) if hasattr(module, "resumable") else None
