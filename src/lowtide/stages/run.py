"""Run one stage by name: what `lowtide stage NAME` and dvc.yaml call."""

import importlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lowtide import artifacts
from lowtide.artifacts import STAGES
from lowtide.clock import SystemClock
from lowtide.energy.limit_record import restore_limits
from lowtide.energy.sources import EnergySource, open_sources
from lowtide.errors import UsageError
from lowtide.lock import pipeline_lock
from lowtide.params import Params, load_params
from lowtide.pipeline import read_reports, record_pipeline
from lowtide.stages.context import describe, log_report, stage_context
from lowtide.stages.nodes import metered_node, sources_of_nodes
from lowtide.stages.powering import limits_folder
from lowtide.training.leaving import deferred_by_sigterm
from lowtide.training.world import Place, World, open_world


def run_stage(name: str, params_file: Path = Path("params.yaml")) -> dict[str, Any] | None:
    """Compute one stage and return its report, which is also in `reports/NAME.json`.

    Of the processes that torchrun has started the first returns it, the others None.
    """
    if name not in STAGES:
        raise UsageError(f"no stage {name!r}: take one of {', '.join(STAGES)}")
    params, place = load_params(params_file), Place.of_environment()
    if place.size > 1:
        _require_shares(name, params, place.size)
    with open_world(place) as world:
        if world.leads:
            return _lead(name, params, world)
        _follow(name, params, world)
    return None


def _lead(name: str, params: Params, world: World) -> dict[str, Any]:
    restore_limits(limits_folder())  # of a run that was killed
    with ExitStack() as stack:
        with deferred_by_sigterm(SystemClock().now):  # the context has a clock of its own
            stack.enter_context(pipeline_lock(artifacts.STATE))
            module, sources = stack.enter_context(_load(name, world))
            resumed = _resumable(module, params)
        context = stack.enter_context(stage_context(name, params, resumed, sources, world))
        with world.watched():
            figures = module.run(params, context)
            world.barrier()  # behind what further nodes tell last
        context.window.close()
        report = {**describe(context, context.window.totals()), **figures}
        log_report(context, report)
        if name == STAGES[-1]:
            record_pipeline(context.pipeline, context.session.pipeline_id, read_reports(), params)
            context.finish()
    return report


def _follow(name: str, params: Params, world: World) -> None:
    with metered_node(world):
        _module(name).follow(params, world)
    world.barrier()


def _require_shares(name: str, params: Params, num_processes: int) -> None:
    module = _module(name)
    if not hasattr(module, "follow"):
        raise UsageError(
            f"stage {name} runs in one process, not in {num_processes}: start it without torchrun"
        )
    module.require_shares(params, num_processes)


@contextmanager
def _load(name: str, world: World) -> Iterator[tuple[Any, list[EnergySource]]]:
    """Import the stage while the energy sources look at the hardware: each takes a second."""
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_sources)
        module = _module(name)
        sources = opening.result() + sources_of_nodes(world)
    try:
        yield module, sources
    finally:
        for source in sources:
            source.close()


def _resumable(module: Any, params: Params) -> str | None:
    return module.resumable(params) if hasattr(module, "resumable") else None


def _module(name: str) -> Any:
    return importlib.import_module(f"lowtide.stages.{name}")
