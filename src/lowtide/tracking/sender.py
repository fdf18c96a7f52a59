"""From the journal to the MLflow server: at least once, in order, harmless when repeated."""

import contextlib
import logging
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from lowtide.artifacts import atomic
from lowtide.errors import TrackingError, first_line
from lowtide.silence import without_warnings
from lowtide.tracking.journal import Entry, Journal, Sent, all_journals

EXPERIMENT = "lowtide"
KEY_TAG = "lowtide.run_key"
TERSE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
REFUSED = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
    "BAD_REQUEST",
}
log = logging.getLogger(__name__)


class SendingError(TrackingError):
    """Not now; the journal keeps what was not sent."""


def terse_mlflow() -> Any:
    """MLflow, whose client gives up after seconds, not minutes, unless the user has said otherwise,
    and tells of errors alone.

    Raises:
        SendingError: it is not installed; a folder of that name, as every checkout has, is none.
    """
    for name, value in TERSE.items():
        os.environ.setdefault(name, value)
    with contextlib.suppress(ImportError):
        import mlflow

        if hasattr(mlflow, "MlflowClient"):
            for name in ("alembic", "urllib3", "mlflow"):
                logging.getLogger(name).setLevel(logging.ERROR)
            return mlflow
    raise SendingError("mlflow is not installed here")


class Sender:
    def __init__(self, uri: str, folder: Path) -> None:
        self._uri, self._store, self._folder = uri, without_password(uri), folder
        self._client: Any = None
        with contextlib.suppress(ImportError):
            import mlflow.tracking.client  # noqa: F401
        self._experiment_id = ""

    def send_all(self) -> None:
        """Send every journal in this checkout, parents first.

        Raises:
            SendingError: the server does not answer, or MLflow is not installed.
        """
        journals = [journal for journal in all_journals(self._folder) if journal.has_unsent()]
        if not journals:
            return
        self._connect()
        from mlflow.exceptions import MlflowException

        for journal in journals:
            try:
                self._send(journal)
            except (MlflowException, OSError) as error:
                raise self._away(error) from None

    def _away(self, error: Exception) -> SendingError:
        return SendingError(f"{self._store} does not answer: {redact(error, self._uri)}")

    def _connect(self) -> None:
        if self._client is not None:
            return
        mlflow = terse_mlflow()
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with FileLock(self._folder / ".create.lock"), without_warnings():
                _make_whole(self._uri)
                client = mlflow.MlflowClient(self._uri)
                found = client.get_experiment_by_name(EXPERIMENT)
                self._experiment_id = (
                    found.experiment_id if found else client.create_experiment(EXPERIMENT)
                )
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise self._away(error) from None
        except SQLAlchemyError as error:
            raise SendingError(
                f"{self._store} cannot be used ({first_line(error)}): move it away if it is broken"
            ) from None
        self._client = client

    def _send(self, journal: Journal) -> None:
        try:
            with journal.lock.acquire(timeout=0):
                self._send_locked(journal)
        except Timeout:
            return  # another process is sending this one

    def _send_locked(self, journal: Journal) -> None:
        sent = journal.sent()
        if sent.store != self._store:  # the rest belongs with the beginning, so all goes there
            sent = Sent()
        entries = journal.entries(sent.num_bytes)
        if not entries:
            return
        run_id = sent.run_id or self._run(journal, entries[0][0])
        position = 0
        while position < len(entries):
            batch = _batch([entry for entry, _ in entries[position : position + 1000]])
            self._deliver(run_id, batch)
            position += len(batch)
            journal.mark_sent(Sent(entries[position - 1][1], run_id, self._store))
        if entries[-1][0]["kind"] == "end":
            journal.forget_files()

    def _run(self, journal: Journal, start: Entry) -> str:
        """Find the run that an earlier attempt may have created, else create it."""
        query = f"tags.`{KEY_TAG}` = '{journal.key}'"
        found = self._client.search_runs([self._experiment_id], query)
        if found:
            return str(found[0].info.run_id)
        tags = {**start.get("tags", {}), KEY_TAG: journal.key}
        parent_id = self._parent_id(start.get("parent_key"))
        if parent_id is not None:
            tags["mlflow.parentRunId"] = parent_id
        run = self._client.create_run(
            self._experiment_id,
            start["time_ms"],
            tags=tags,
            run_name=start.get("name", journal.key),
        )
        return str(run.info.run_id)

    def _parent_id(self, key: str | None) -> str | None:
        if key is None:
            return None
        parent = Journal(self._folder, key)
        if parent.sent().store != self._store:
            self._send(parent)
        return parent.sent().run_id

    def _deliver(self, run_id: str, batch: list[Entry]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._dispatch(run_id, batch)
        except MlflowException as error:
            if error.error_code not in REFUSED:
                raise
            log.warning(
                "MLflow refused a record of kind %s: %s", batch[0]["kind"], redact(error, self._uri)
            )

    def _dispatch(self, run_id: str, batch: list[Entry]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        first, client = batch[0], self._client
        match first["kind"]:
            case "metrics":
                metrics = [
                    Metric(key, value, entry["time_ms"], entry["step"])
                    for entry in batch
                    for key, value in entry["metrics"].items()
                ]
                client.log_batch(run_id, metrics=metrics)
            case "params":
                params = [Param(key, value[:6000]) for key, value in first["params"].items()]
                client.log_batch(run_id, params=params)
            case "tags":
                tags = [RunTag(key, value) for key, value in first["tags"].items()]
                client.log_batch(run_id, tags=tags)
            case "artifact":
                self._upload(run_id, first)
            case "end":
                client.set_terminated(run_id, first["status"], first["time_ms"])
            case "start":
                client.update_run(run_id, status="RUNNING")

    def _upload(self, run_id: str, entry: Entry) -> None:
        kept = Path(entry["path"])
        if not kept.exists():
            return
        named = kept.parent / "upload" / entry["name"]
        named.parent.mkdir(exist_ok=True)
        named.unlink(missing_ok=True)
        os.link(kept, named)
        self._client.log_artifact(run_id, str(named), entry["folder"] or None)
        named.unlink()


def _batch(entries: list[Entry]) -> list[Entry]:
    """The first entry; metrics that follow each other go together, up to MLflow's 1,000."""
    batch = entries[:1]
    if batch[0]["kind"] != "metrics":
        return batch
    count = len(batch[0]["metrics"])
    for entry in entries[1:]:
        count += len(entry.get("metrics", ()))
        if entry["kind"] != "metrics" or count > 1000:
            break
        batch.append(entry)
    return batch


def unmade_database(uri: str) -> Path | None:
    """The SQLite file of the address where it is not there yet: to ask it would make it."""
    path = Path(urlsplit(uri).path[1:])
    return path if uri.startswith("sqlite:///") and not path.exists() else None


def _make_whole(uri: str) -> None:
    """A new SQLite file gets its tables under another name: killed on the way, it leaves no half
    of a database, which MLflow would refuse for ever."""
    import mlflow

    path = unmade_database(uri)
    if path is None:
        return
    with atomic(path) as temporary:
        mlflow.MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)


def without_password(uri: str) -> str:
    """The address without user and password."""
    credentials = urlsplit(uri).netloc.rpartition("@")[0]
    return uri.replace(f"{credentials}@", "", 1) if credentials else uri


def redact(error: Exception, uri: str) -> str:
    """The error's first line without the user and password that `uri` may hold."""
    first = first_line(error)
    credentials = urlsplit(uri).netloc.rpartition("@")[0]
    return (first.replace(f"{credentials}@", "") if credentials else first)[:300]
