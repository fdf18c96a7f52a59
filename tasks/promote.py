"""What follows the verdict: the registry, and what Prefect shows of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import Task, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from lowtide import artifacts, session
from lowtide.errors import ArtifactError, GateError, LockedError, TrackingError
from lowtide.params import load_params
from lowtide.pipeline import Reports, pipeline_metrics, read_reports, record_pipeline
from lowtide.registry import Reason, RegisteredVersion, register, rollback
from lowtide.report.card import model_card
from lowtide.report.text import verdict_text
from lowtide.tracking import Tracker, tracking_uri, wait_for_run_id
from lowtide.tracking.journal import Journal
from lowtide.tracking.sender import without_password
from tasks.session import PARAMS


@task(name="record", cache_policy=NO_CACHE)
def record(passport: Path) -> str | None:
    """Close the pipeline run in MLflow; returns its id once the server has given one."""
    params = load_params(PARAMS)
    current = session.load_session(artifacts.STATE)
    assert current is not None, "the flow begins with a session"
    run = Tracker(artifacts.STATE).pipeline_run(current)
    record_pipeline(run, current.pipeline_id, read_reports(), params)
    run.log_artifact(passport)
    run.end("FINISHED")
    session.leave(artifacts.STATE, current, current.position, done=True)
    return wait_for_run_id(run)


def _may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """A server that is away and a lock that is held may be otherwise soon; a refusal stays one."""
    return isinstance(state.data, LockedError | TrackingError)


@task(
    name="promote", retries=3, retry_delay_seconds=[2, 10, 30], retry_condition_fn=_may_pass,
    cache_policy=NO_CACHE,
)  # fmt: skip
def promote(run_id: str | None, forced: Reason | None = None) -> RegisteredVersion:
    """Register the model; the alias `champion` moves if, and only if, the verdict passed, or if
    somebody answers for it."""
    from lowtide.data.arrays import load_split

    verdict, reports = artifacts.read_json(artifacts.VERDICT), read_reports()
    path, against = _judged(reports, verdict), verdict["champion"]
    return register(
        tracking_uri(),
        model_path=path,
        run_id=run_id,
        verdict=verdict,
        judged_against=None if against is None else against["sha256"],
        card=model_card(reports, load_params(PARAMS)),
        input_example=load_split(artifacts.DATA, "test").images[:4],
        metrics=pipeline_metrics(reports),
        forced=forced,
    )


def _judged(reports: Reports, verdict: Mapping[str, Any]) -> Path:
    """The exported file. The verdict is about one, by its sha256; no other gets through on it."""
    missing = [name for name in artifacts.STAGES if name not in reports]
    if missing:
        raise ArtifactError(f"no report of {', '.join(missing)} in reports/: run `dvc repro`")
    path = Path(reports["export"]["model_path"])
    if not path.exists():
        raise ArtifactError(f"{path} is missing: run `dvc repro`")
    judged = verdict.get("model_sha256")
    if judged != artifacts.file_sha256(path) or judged != reports["evaluate"]["model_sha256"]:
        raise GateError(
            f"{artifacts.VERDICT} is not about {path} as it is: run `dvc repro`, which judges it"
        )
    return path


def recorded_run() -> str | None:
    """The pipeline run of this checkout's last session in MLflow, if it got there."""
    current = session.load_session(artifacts.STATE)
    if current is None:
        return None
    return Journal(artifacts.STATE / "journal", current.pipeline_id).sent().run_id


@task(name="publish", cache_policy=NO_CACHE)
def publish(run_id: str | None, version: RegisteredVersion) -> None:
    """Prefect artifacts: the verdict, and where the run is in MLflow."""
    verdict = artifacts.read_json(artifacts.VERDICT)
    title = f"version {version.version}, aliases {', '.join(version.aliases)}"
    create_markdown_artifact(key="verdict", markdown=f"{title}\n```\n{verdict_text(verdict)}\n```")
    if run_id is not None:
        create_link_artifact(key="mlflow-run", link=f"{mlflow_ui()}/#/runs/{run_id}")


def mlflow_ui() -> str:
    """Where a browser finds MLflow: LOWTIDE_MLFLOW_UI, else the tracking server, else `make ui`."""
    uri = tracking_uri()
    served = uri if uri.startswith(("http://", "https://")) else "http://127.0.0.1:5000"
    return os.environ.get("LOWTIDE_MLFLOW_UI", without_password(served)).rstrip("/")


def roll_back(reason: Reason | None) -> RegisteredVersion:
    """One step back in the history of champions; no retries, since each moves the alias."""
    return rollback(tracking_uri(), reason)
