"""A thread that takes the journal to the server while the work goes on.

A server that is slow, locked or gone costs training nothing; what could not be sent stays on disk
and is sent by the next process that delivers here. A flow delivers for the stages it starts.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lowtide.errors import LowtideError
from lowtide.tracking.journal import AWAY, all_journals
from lowtide.tracking.sender import Sender, redact

EVERY_S = 0.5
AFTER_FAILURE_S = 4.0
KEEP_S = 30 * 86400.0  # what has been sent is forgotten after that
DELIVERED = "LOWTIDE_RECORDS_DELIVERED"  # set for the children of a process that delivers


@dataclass(frozen=True)
class Unsent:
    num_runs: int = 0
    num_entries: int = 0
    reason: str | None = None

    def __str__(self) -> str:
        return (
            f"{self.num_entries} MLflow entries of {self.num_runs} runs are kept on disk and will "
            f"be sent by the next run ({self.reason or 'the server was too slow'})"
        )


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


class Delivery:
    def __init__(self, folder: Path, uri: str) -> None:
        self._folder = folder
        self._uri = uri
        self._sender = Sender(uri, folder)
        self._stop = threading.Event()
        self._reason: str | None = None
        self._away.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._keep_sending, daemon=True)
        self._thread.start()

    @property
    def _away(self) -> Path:
        return self._folder / AWAY

    def close(self, timeout_s: float = 20.0) -> Unsent:
        """Send what can be sent within the time; say what could not."""
        self._stop.set()
        self._thread.join(timeout_s)
        counts = [journal.num_unsent() for journal in all_journals(self._folder)]
        waiting = [count for count in counts if count]
        return Unsent(len(waiting), sum(waiting), self._reason) if waiting else Unsent()

    def _keep_sending(self) -> None:
        last_round = False
        while not last_round:
            last_round = self._stop.wait(EVERY_S)
            try:
                self._sender.send_all()
                self._reason = None
                self._away.unlink(missing_ok=True)
            except (LowtideError, OSError, ValueError) as error:  # a full disk, a broken line
                self._note_failure(error)
                if not last_round:
                    self._stop.wait(AFTER_FAILURE_S)

    def _note_failure(self, error: Exception) -> None:
        self._reason = redact(error, self._uri)
        with contextlib.suppress(OSError):
            self._away.write_text(self._reason)


@contextmanager
def delivery(state: Path, uri: str | None = None) -> Iterator[list[Unsent]]:
    """Deliver while the body runs, unless a parent process does; what stays behind is appended."""
    left: list[Unsent] = []
    if os.environ.get(DELIVERED) == "1":
        yield left
        return
    folder = state / "journal"
    folder.mkdir(parents=True, exist_ok=True)
    _forget_old(folder)
    running = Delivery(folder, uri or tracking_uri())
    os.environ[DELIVERED] = "1"
    try:
        yield left
    finally:
        del os.environ[DELIVERED]
        unsent = running.close()
        if unsent.num_entries:
            left.append(unsent)


def _forget_old(folder: Path) -> None:
    for journal in all_journals(folder):
        if journal.age_s > KEEP_S and not journal.has_unsent():
            journal.forget()
