"""MLflow runs as the pipeline sees them: opened at once, whatever the server does."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowtide.session import Session
from lowtide.tracking.journal import Journal, is_away


class Run:
    """One MLflow run, by a key of our own that is known before any server answers."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def mlflow_run_id(self) -> str | None:
        return self._journal.sent().run_id

    @property
    def away(self) -> bool:
        """Whether the last attempt to reach the server failed."""
        return is_away(self._journal.folder)

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._journal.append("params", params={key: str(value) for key, value in params.items()})

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._journal.append("metrics", metrics=dict(metrics), step=step or 0)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._journal.append("tags", tags=dict(tags))

    def log_artifact(self, path: Path, folder: str = "") -> None:
        kept = self._journal.keep_file(path)
        self._journal.append("artifact", path=str(kept), name=path.name, folder=folder)

    def end(self, status: str) -> None:
        self._journal.append("end", status=status)


class Tracker:
    """Opens runs in a checkout's journal; a `Delivery` takes them to the server."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "journal"

    def start_run(
        self, key: str, name: str, *, parent_key: str | None, tags: Mapping[str, str]
    ) -> Run:
        """Open a run, or go on with the one of this key that a killed process has left."""
        journal = Journal(self._folder, key)
        journal.append("start", name=name, parent_key=parent_key, tags=dict(tags))
        return Run(journal)

    def pipeline_run(self, session: Session) -> Run:
        clock = "replay" if session.replay else "system"
        tags = {"lowtide.kind": "pipeline", "lowtide.clock": clock}
        key = session.pipeline_id
        run = self.start_run(key, f"pipeline-{key[:8]}", parent_key=None, tags=tags)
        run.log_params(session.params)
        return run

    def abandon(self, session: Session) -> None:
        """A pipeline run that nobody goes on with has been killed, unless it has ended before."""
        journal = Journal(self._folder, session.pipeline_id)
        entries = journal.entries()
        if entries and entries[-1][0]["kind"] != "end":
            journal.append("end", status="KILLED")


def link_cached(pipeline: Run, stage: str, made_by: str) -> None:
    """Say on the pipeline run that a stage was not run again, and which run made its result."""
    pipeline.set_tags({f"lowtide.cached.{stage}": made_by})


def wait_for_run_id(run: Run, timeout_s: float = 10.0) -> str | None:
    """The server's id of a run, once it has one; None if the server is away or takes too long."""
    deadline = time.monotonic() + timeout_s
    while run.mlflow_run_id is None and time.monotonic() < deadline and not run.away:
        time.sleep(0.05)
    return run.mlflow_run_id
