"""What surrounds a stage: its session, clock, energy window, MLflow run and report."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from lowtide import artifacts, session
from lowtide.carbon.signal import IntensitySource
from lowtide.carbon.sources import open_source
from lowtide.clock import Clock
from lowtide.energy.counterfactual import active_time, run_now_emissions_g
from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter, Window
from lowtide.energy.sources import EnergySource
from lowtide.energy.totals import Totals
from lowtide.errors import PeerError
from lowtide.params import Params
from lowtide.tracking import Run, Tracker, delivery, wait_for_run_id
from lowtide.training.leaving import deferred_by_sigterm
from lowtide.training.pacing import Deferred
from lowtide.training.world import World

VERSIONED = ("lowtide", "torch", "onnxruntime", "onnx", "numpy", "codecarbon")


@dataclass
class StageContext:
    """Handed to a stage's `run(params, context)`; what it returns becomes its report."""

    stage: str
    run_id: str
    session: session.Session
    clock: Clock
    source: IntensitySource
    window: Window
    ledger: Ledger
    run: Run
    pipeline: Run
    world: World
    done: bool = False  # the session ends with this stage

    @property
    def checkpoint(self) -> Path:
        return artifacts.CHECKPOINTS / f"{self.stage}.safetensors"

    def say(self, text: str) -> None:
        print(f"{self.stage}: {text}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """The last stage is through: the session closes, the pipeline run has ended."""
        self.done = True
        self.pipeline.end("FINISHED")


def fingerprint(*parts: Any) -> str:
    """Of everything a fit depends on; paths count by their content."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else repr(part).encode()
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


@contextmanager
def stage_context(
    stage: str,
    params: Params,
    resumed_run_id: str | None,
    sources: Sequence[EnergySource],
    world: World,
) -> Iterator[StageContext]:
    """Open everything, and close it in the right order whatever the body does."""
    artifacts.DEFERRED.unlink(missing_ok=True)
    current, clock = session.open_session(artifacts.STATE, params, anew=_is_through(stage))
    source = open_source(params.carbon)
    run_id = resumed_run_id or f"{current.pipeline_id[:12]}-{stage}-{uuid.uuid4().hex[:8]}"
    with (
        deferred_by_sigterm(clock.now),
        delivery(artifacts.STATE) as left,
        Ledger(artifacts.LEDGER) as ledger,
    ):
        last = ledger.last_instant(run_id)
        if clock.replay and last is not None:
            clock.sleep_until(last)  # one that was killed goes on behind what it has used
        pipeline, run = _open_runs(current, stage, run_id, params)
        meter = EnergyMeter(sources, source, clock, ledger, params.carbon.pue)
        status, done = "FAILED", False
        try:
            with meter.window(run_id, stage) as window:
                context = StageContext(
                    stage, run_id, current, clock, source, window, ledger, run, pipeline, world
                )
                yield context
            status, done = "FINISHED", context.done
        except Deferred as deferred:
            artifacts.write_json(
                artifacts.DEFERRED, {"until": _iso(deferred.until), "left_at": _iso(clock.now())}
            )
            session.leave(artifacts.STATE, current, deferred.until)
            status = "SCHEDULED"
            raise
        except PeerError:  # torchrun starts it again
            session.leave(artifacts.STATE, current, clock.now())
            status = "SCHEDULED"
            raise
        finally:
            if status != "SCHEDULED":
                session.leave(artifacts.STATE, current, clock.now(), done=done)
                run.end(status)
            if status == "FAILED":
                pipeline.end(status)
    for unsent in left:
        print(f"lowtide: {unsent}", file=sys.stderr)


def _is_through(stage: str) -> bool:
    """Whether the session that is there has had this stage: run again, it is of another one."""
    left, path = session.load_session(artifacts.STATE), artifacts.report_path(stage)
    if left is None or not path.exists():
        return False
    return bool(artifacts.read_json(path)["pipeline_id"] == left.pipeline_id)


def _open_runs(
    current: session.Session, stage: str, run_id: str, params: Params
) -> tuple[Run, Run]:
    tracker = Tracker(artifacts.STATE)
    pipeline = tracker.pipeline_run(current)
    tags = {"lowtide.kind": "stage", "lowtide.stage": stage, "lowtide.stage_run_id": run_id}
    run = tracker.start_run(run_id, stage, parent_key=current.pipeline_id, tags=tags)
    section = getattr(params, stage, None)
    if section is not None:
        run.log_params(_flat(stage, section.model_dump(mode="json")))
    return pipeline, run


def _flat(prefix: str, section: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{key}": value for key, value in section.items()}


def describe(context: StageContext, totals: Totals) -> dict[str, Any]:
    """The part that every report has: energy, emissions, provenance, host, versions, ids."""
    ledger, run_id = context.ledger, context.run_id
    begun = context.session.arrived_at + _work_before(context)
    return {
        "stage": context.stage,
        "stage_run_id": run_id,
        "pipeline_id": context.session.pipeline_id,
        "mlflow_run_id": wait_for_run_id(context.run),
        "energy_kwh": totals.energy_kwh,
        "emissions_g": totals.emissions_g,
        "run_now_emissions_g": run_now_emissions_g(
            ledger.each_interval(run_id), context.source, begun
        ),
        "active_clock_s": active_time(ledger.each_interval(run_id)).total_seconds(),
        "duration_s": totals.duration_s,
        "mean_intensity_g_per_kwh": totals.mean_intensity_g_per_kwh,
        "components": {
            name: {
                "energy_kwh": part.energy_kwh,
                "source": part.source,
                "provenance": part.provenance,
            }
            for name, part in totals.components.items()
        },
        "provenance": {
            "energy": totals.provenance,
            "intensity": context.source.name,
            "intensity_age_s_max": ledger.oldest_intensity_s(run_id),
            "clock": "replay" if context.session.replay else "system",
            "host": platform.node(),
            "cpu_count": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "versions": _versions(),
            "commit": commit(),
            "finished_at": _iso(context.clock.now()),
        },
    }


def _work_before(context: StageContext) -> timedelta:
    """The clock's time that earlier stages of this pipeline run have worked."""
    return timedelta(seconds=sum(report["active_clock_s"] for report in reports_before(context)))


def reports_before(context: StageContext) -> list[dict[str, Any]]:
    """Of the stages before this one that this pipeline run has made itself."""
    stages = artifacts.STAGES[: artifacts.STAGES.index(context.stage)]
    paths = [path for stage in stages if (path := artifacts.report_path(stage)).exists()]
    reports = [artifacts.read_json(path) for path in paths]
    return [one for one in reports if one["pipeline_id"] == context.session.pipeline_id]


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The checkout's commit, `-dirty` if it has uncommitted changes; None outside git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def log_report(context: StageContext, report: Mapping[str, Any]) -> None:
    """Every number at the top of a report becomes a metric of the stage's run."""
    numbers = {
        key: float(value)
        for key, value in report.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    context.run.log_metrics(numbers)
    path = artifacts.report_path(context.stage)
    artifacts.write_text(path, json.dumps(report, indent=2, allow_nan=False) + "\n")
    context.run.log_artifact(path)
