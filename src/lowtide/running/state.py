"""What lowtide remembers of a command between its own runs: one small file a command."""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import psutil

from lowtide.artifacts import read_json, write_json
from lowtide.errors import ArtifactError, LockedError

Origin = Literal["given", "learnt", "assumed"]
NEWEST = 0.5  # weight of the newest duration in the learnt one
POLL_S = 0.1
DYING_S = 1.0  # a holder that has just been killed may still be there


@dataclass(frozen=True)
class Job:
    """One execution that has been begun, over all restarts of lowtide.

    `active_s` are seconds of the clock in which work was done that still counts.
    """

    run_id: str
    arrived_at: datetime
    deadline: datetime
    active_s: float
    work_hours: float
    origin: Origin


@dataclass(frozen=True)
class Record:
    """A command in a folder: how long it takes by experience, and its unfinished job if any."""

    command: tuple[str, ...]
    folder: str
    learnt_hours: float | None = None
    job: Job | None = None

    def finished(self, hours: float) -> "Record":
        """The job is done: its active hours go into the estimate for the next."""
        old = hours if self.learnt_hours is None else self.learnt_hours
        return replace(self, learnt_hours=old + NEWEST * (hours - old), job=None)


def record_path(
    state: Path, command: Sequence[str], folder: Path, replay_speed: float | None
) -> Path:
    """Named by the command and its folder; a replay, whose hours are others, by its speed too."""
    identity: list[object] = [list(command), str(folder)]
    if replay_speed is not None:
        identity.append(replay_speed)
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return state / "exec" / f"{digest}.json"


def load_record(path: Path, command: Sequence[str], folder: Path) -> Record:
    """An empty record where there is none; a broken file counts as none."""
    fresh = Record(tuple(command), str(folder))
    if not path.exists():
        return fresh
    try:
        content = read_json(path)
        job = content["job"]
        if job is not None:
            for key in ("arrived_at", "deadline"):
                job[key] = datetime.fromisoformat(job[key])
            job = Job(**job)
        return replace(fresh, learnt_hours=content["learnt_hours"], job=job)
    except (ArtifactError, KeyError, TypeError, ValueError):
        return fresh


def save_record(path: Path, record: Record) -> None:
    content = asdict(record)
    if record.job is not None:
        for key in ("arrived_at", "deadline"):
            content["job"][key] = content["job"][key].isoformat()
    write_json(path, content)


@contextmanager
def hold(path: Path, patience_s: float) -> Iterator[int]:
    """Hold the command's lock; yields its file descriptor, for the watchdog to share.

    Where the holder is dead, its watchdog still ends the command: that is waited for, up to
    `patience_s`, so that the command never runs twice at once.

    Raises:
        LockedError: another lowtide runs the command here; names its pid.
    """
    lock = path.with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.parent.chmod(0o700)  # arguments may be secrets
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ArtifactError(f"cannot write {lock}: {error.strerror}") from None
    try:
        _acquire(handle, lock, patience_s)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield handle
    finally:
        os.close(handle)


def _acquire(handle: int, lock: Path, patience_s: float) -> None:
    since_s = time.monotonic()
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode(errors="replace")
        waited_s = time.monotonic() - since_s
        if waited_s > (DYING_S if _lives(holder) else patience_s):
            raise LockedError(_taken(holder, lock))
        time.sleep(POLL_S)


def _taken(holder: str, lock: Path) -> str:
    if _lives(holder):
        return (
            f"pid {holder} already runs this command in this folder ({lock}): wait for it, or "
            "stop it with Ctrl-C"
        )
    return (
        f"what lowtide's pid {holder or '?'} started in this folder still runs, though lowtide "
        f"itself was killed ({lock}): wait for it, or end its processes"
    )


def _lives(pid: str) -> bool:
    try:
        return bool(psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE)
    except (ValueError, psutil.NoSuchProcess):
        return False
