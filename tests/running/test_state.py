"""What is remembered of a command survives, is its own, and teaches the next estimate."""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.errors import LockedError
from lowtide.running.state import Job, Record, hold, load_record, record_path, save_record

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = Job("exec-1", NOON, NOON + timedelta(hours=24), 90.0, 6.0, "given")
COMMAND = ("python", "train.py")


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    path = record_path(tmp_path, COMMAND, tmp_path, None)
    record = Record(COMMAND, str(tmp_path), 2.5, JOB)
    save_record(path, record)
    assert load_record(path, COMMAND, tmp_path) == record


def test_each_command_folder_and_replay_speed_has_its_own(tmp_path: Path) -> None:
    paths = {
        record_path(tmp_path, COMMAND, tmp_path, None),
        record_path(tmp_path, ("python train.py",), tmp_path, None),
        record_path(tmp_path, COMMAND, tmp_path / "other", None),
        record_path(tmp_path, COMMAND, tmp_path, 2400.0),
    }
    assert len(paths) == 4


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": {"run_id": 1}}', '{"job": 3}'])
def test_a_broken_file_counts_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    assert load_record(path, COMMAND, tmp_path) == Record(COMMAND, str(tmp_path))


def test_a_finished_job_is_forgotten_and_its_duration_learnt(tmp_path: Path) -> None:
    record = Record(COMMAND, str(tmp_path), None, JOB).finished(4.0)
    assert (record.learnt_hours, record.job) == (4.0, None)
    assert replace(record, job=JOB).finished(2.0).learnt_hours == 3.0


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    with hold(path, 0), pytest.raises(LockedError, match="already runs"), hold(path, 0):
        pass
    with hold(path, 0):
        pass


def test_a_lock_of_the_dead_is_waited_for(tmp_path: Path) -> None:
    """As the watchdog of a killed run does: it holds the lock on until the command has gone."""
    path, got = tmp_path / "job.json", []

    def wait() -> None:
        with hold(path, 30):
            got.append(time.monotonic())

    with hold(path, 0):
        path.with_suffix(".lock").write_text("999999999")
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.3)
        assert got == []
    waiting.join(10)
    assert len(got) == 1
