"""MLflow, never in the way: the journal takes every record at once, a thread sends it on.

A server that is slow, locked or gone costs training nothing; what could not be sent stays on disk
and is sent by the next process that runs here.
"""

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowtide.journal import Journal, all_journals

EXPERIMENT = "lowtide"
EVERY_S = 2.0


@dataclass(frozen=True)
class Unsent:
    num_runs: int
    num_entries: int
    reason: str | None


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


class Run:
    """One MLflow run, by a key of our own that is known before any server answers."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def mlflow_run_id(self) -> str | None:
        return self._journal.sent().run_id

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


def link_cached(pipeline: Run, stage: str, made_by: str) -> None:
    """Say on the pipeline run that a stage was not run again, and which run made its result."""
    pipeline.set_tags({f"lowtide.cached.{stage}": made_by})


class Tracker:
    def __init__(self, state: Path, uri: str | None = None) -> None:
        self._folder = state / "journal"
        self._uri = uri or tracking_uri()
        # Imported here, in the caller's thread: two threads importing pandas at once break it.
        from lowtide.sending import Sender

        self._sender = Sender(self._uri, self._folder)
        self._stop = threading.Event()
        self._reason: str | None = None
        self._thread = threading.Thread(
            target=self._keep_sending, name="mlflow-sender", daemon=True
        )
        self._thread.start()

    def start_run(
        self, key: str, name: str, *, parent_key: str | None, tags: Mapping[str, str]
    ) -> Run:
        """Open a run, or go on with the one of this key that a killed process has left."""
        journal = Journal(self._folder, key)
        journal.append("start", name=name, parent_key=parent_key, tags=dict(tags))
        return Run(journal)

    def pipeline_run(self, pipeline_id: str, replay: bool) -> Run:
        tags = {"lowtide.kind": "pipeline", "lowtide.clock": "replay" if replay else "system"}
        return self.start_run(
            pipeline_id, f"pipeline-{pipeline_id[:8]}", parent_key=None, tags=tags
        )

    def close(self, timeout_s: float = 20.0) -> Unsent:
        """Send what can be sent within the time; say what could not."""
        self._stop.set()
        self._thread.join(timeout_s)
        unsent = [journal.num_unsent() for journal in all_journals(self._folder)]
        waiting = [count for count in unsent if count]
        return Unsent(len(waiting), sum(waiting), self._reason if waiting else None)

    def _keep_sending(self) -> None:
        from lowtide.sending import SendingError

        last_round = False
        while not last_round:
            last_round = self._stop.wait(EVERY_S)
            try:
                self._sender.send_all()
                self._reason = None
            except SendingError as error:
                self._reason = str(error)
                if not last_round:
                    self._stop.wait(EVERY_S)


def wait_for_run_id(run: Run, timeout_s: float = 5.0) -> str | None:
    """The server's id of a run, once the sender has it; None if that takes too long."""
    deadline = time.monotonic() + timeout_s
    while run.mlflow_run_id is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return run.mlflow_run_id
