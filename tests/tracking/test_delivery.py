"""From the journal to a real MLflow store: complete, once, in the right place."""

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lowtide.errors import ArtifactError
from lowtide.session import Session
from lowtide.tracking import Tracker, delivery, link_cached, wait_for_run_id
from lowtide.tracking.delivery import DELIVERED, KEEP_S
from lowtide.tracking.journal import Journal, Sent, all_journals
from lowtide.tracking.sender import Sender, SendingError

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def store(checkout: Path) -> str:
    return f"sqlite:///{checkout / 'mlflow.db'}"


def client(store: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store)


def session(pipeline_id: str) -> Session:
    now = datetime(2022, 4, 14, tzinfo=UTC)
    return Session(pipeline_id, now, now, now, replay=True, open=True, params={"seed": "7"})


def record(state: Path, pipeline_id: str = "p1") -> None:
    """A pipeline run with one stage, as a pipeline leaves them."""
    tracker = Tracker(state)
    pipeline = tracker.pipeline_run(session(pipeline_id))
    run = tracker.start_run(
        f"{pipeline_id}-train", "train", parent_key=pipeline_id, tags={"lowtide.stage": "train"}
    )
    run.log_params({"train.epochs": 3})
    for step in range(5):
        run.log_metrics({"loss": 1.0 - step / 10}, step)
    note = state / "note.txt"
    note.write_text("kept")
    run.log_artifact(note, "notes")
    link_cached(pipeline, "prepare", "an-earlier-run")
    run.end("FINISHED")
    pipeline.end("FINISHED")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def find(store: str, name: str) -> Any:
    experiment = client(store).get_experiment_by_name("lowtide")
    found = client(store).search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    assert len(found) == 1
    return found[0]


def test_a_stage_arrives_whole_under_its_pipeline(checkout: Path, store: str) -> None:
    state = checkout / ".lowtide"
    with delivery(state, store) as left:
        record(state)
    assert left == []
    run, pipeline = find(store, "train"), find(store, "pipeline-p1")
    assert run.data.tags["mlflow.parentRunId"] == pipeline.info.run_id
    assert run.data.params == {"train.epochs": "3"}
    history = client(store).get_metric_history(run.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [
        (step, 1.0 - step / 10) for step in range(5)
    ]
    assert run.info.status == "FINISHED"
    assert pipeline.data.tags["lowtide.cached.prepare"] == "an-earlier-run"
    local = client(store).download_artifacts(run.info.run_id, "notes/note.txt")
    assert Path(local).read_text() == "kept"


def test_a_server_that_is_gone_loses_nothing(checkout: Path, store: str) -> None:
    state = checkout / ".lowtide"
    with delivery(state, NOWHERE) as left:
        record(state)
    (unsent,) = left
    assert unsent.num_runs == 2
    assert unsent.num_entries == 13
    assert "127.0.0.1:9 does not answer" in str(unsent)
    with delivery(state, store) as left:
        pass
    assert left == []
    assert len(client(store).get_metric_history(find(store, "train").info.run_id, "loss")) == 5


class FullDisk:
    """Stands in for `Journal.mark_sent`: no space for the first `times` notes."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.write = Journal.mark_sent

    def mark_sent(self, journal: Journal, sent: Sent) -> None:
        self.times -= 1
        if self.times >= 0:
            raise ArtifactError(f"cannot write {journal.key}.sent: No space left on device")
        self.write(journal, sent)


def test_a_disk_that_was_full_for_a_moment_stops_nothing(
    checkout: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(times=1)
    monkeypatch.setattr(Journal, "mark_sent", lambda *arguments: disk.mark_sent(*arguments))
    with delivery(checkout / ".lowtide", store) as left:
        record(checkout / ".lowtide")
        wait_until(lambda: disk.times < 1)
    assert left == []
    assert find(store, "pipeline-p1").info.status == "FINISHED"


def test_a_disk_that_stays_full_is_named_as_the_reason(
    checkout: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(times=1000)
    monkeypatch.setattr(Journal, "mark_sent", lambda *arguments: disk.mark_sent(*arguments))
    with delivery(checkout / ".lowtide", store) as left:
        record(checkout / ".lowtide")
    assert "No space left" in str(left[0])


def test_a_torn_note_of_what_was_sent_is_as_good_as_none(checkout: Path, store: str) -> None:
    state = checkout / ".lowtide"
    with delivery(state, store):
        record(state)
    for note in (state / "journal").glob("*.sent"):
        note.write_text(note.read_text()[:20])
    with delivery(state, store) as left:
        record(state, "p2")
    assert left == []
    assert find(store, "pipeline-p1").info.status == "FINISHED"  # found again, not made twice
    assert find(store, "pipeline-p2").info.status == "FINISHED"


def test_a_run_that_moves_to_another_store_moves_whole(checkout: Path, store: str) -> None:
    state, other = checkout / ".lowtide", f"sqlite:///{checkout / 'other.db'}"
    run = Tracker(state).pipeline_run(session("p1"))
    with delivery(state, store):
        run.log_metrics({"test_accuracy": 0.5})
        first = wait_for_run_id(run)
    with delivery(state, other) as left:
        run.log_metrics({"inference_energy_j": 0.1})
        run.end("FINISHED")
    assert left == []
    moved = find(other, "pipeline-p1")
    assert moved.info.run_id != first
    assert moved.data.metrics == {"test_accuracy": 0.5, "inference_energy_j": 0.1}


def test_a_run_deleted_on_the_server_holds_nothing_up(checkout: Path, store: str) -> None:
    state = checkout / ".lowtide"
    run = Tracker(state).pipeline_run(session("p1"))
    with delivery(state, store):
        wait_for_run_id(run)
    client(store).delete_run(run.mlflow_run_id)
    with delivery(state, store) as left:
        run.log_metrics({"late": 1.0})
        record(state, "p2")
    assert left == []
    assert find(store, "pipeline-p2").info.status == "FINISHED"


def test_a_locked_database_is_waited_for(checkout: Path, store: str) -> None:
    state = checkout / ".lowtide"
    with delivery(state, store):
        record(state)
    lock = sqlite3.connect(
        checkout / "mlflow.db", isolation_level=None, check_same_thread=False, timeout=30
    )
    lock.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(1.5, lock.execute, ["ROLLBACK"])
    release.start()
    with delivery(state, store) as left:
        record(state, "p2")
    release.join()
    lock.close()
    assert left == []
    assert find(store, "pipeline-p2").info.status == "FINISHED"


def test_a_child_leaves_delivery_to_its_parent(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DELIVERED, "1")
    with delivery(checkout / ".lowtide", NOWHERE):
        record(checkout)
    assert sum(journal.num_unsent() for journal in all_journals(checkout / "journal")) == 13
    assert os.environ[DELIVERED] == "1"


def test_old_records_that_were_sent_are_forgotten(checkout: Path, store: str) -> None:
    state = checkout / ".lowtide"
    with delivery(state, store):
        record(state)
    for file in (state / "journal").glob("*.jsonl"):
        os.utime(file, (0, file.stat().st_mtime - KEEP_S - 1))
    with delivery(state, store):
        pass
    assert all_journals(state / "journal") == []


def test_without_mlflow_entries_wait(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(checkout)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SendingError, match="not installed"):
        Sender("sqlite:///mlflow.db", checkout / "journal").send_all()


def test_a_password_in_the_address_is_not_repeated(checkout: Path) -> None:
    state = checkout / ".lowtide"
    with delivery(state, "http://me:secret@127.0.0.1:9") as left:
        record(state)
    assert "secret" not in str(left[0])
    assert all("secret" not in f.read_text() for f in (state / "journal").glob("*.sent"))


def test_a_run_that_nobody_goes_on_with_was_killed_unless_it_had_ended(
    checkout: Path, store: str
) -> None:
    state = checkout / ".lowtide"
    with delivery(state, store):
        Tracker(state).pipeline_run(session("p1"))
        Tracker(state).pipeline_run(session("p2")).end("FAILED")
        for key in ("p1", "p2", "p3"):
            Tracker(state).abandon(session(key))
    assert find(store, "pipeline-p1").info.status == "KILLED"
    assert find(store, "pipeline-p2").info.status == "FAILED"


def test_a_new_database_is_there_whole_or_not_at_all(
    checkout: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while MLflow makes its tables: the next one makes them from the start."""
    import mlflow

    whole = mlflow.MlflowClient

    def killed(uri: str) -> Any:
        whole(uri).search_experiments()
        raise SystemExit

    monkeypatch.setattr(mlflow, "MlflowClient", killed)
    state = checkout / ".lowtide"
    record(state)
    sender = Sender(store, state / "journal")
    with pytest.raises(SystemExit):
        sender.send_all()
    assert not (checkout / "mlflow.db").exists()
    monkeypatch.undo()
    Sender(store, state / "journal").send_all()
    assert find(store, "train").info.status == "FINISHED"


def test_a_broken_database_is_named_with_the_remedy(checkout: Path, store: str) -> None:
    connection = sqlite3.connect(checkout / "mlflow.db")
    connection.execute("CREATE TABLE experiments (half)")
    connection.close()
    state = checkout / ".lowtide"
    record(state)
    with pytest.raises(SendingError, match=r"mlflow\.db cannot be used .*move it away"):
        Sender(store, state / "journal").send_all()
