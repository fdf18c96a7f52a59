"""A small process that outlives `kill -9` of lowtide, and then ends the command it supervised.

Nothing can be done in a process that is killed, and a command that was stopped for a dirty hour
would stay stopped for ever. So the watchdog holds the reading end of a pipe: when that ends it
looks for the command's processes, by a mark in their environment and by their session, lets them
go on, and, unless told to keep them, terminates them, and kills what is left after a grace period.
Kept or not, it stays as long as they do.
The command is ended because a run without its meter is not accounted for.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil

from lowtide.running.processes import signal_each

MARK = "LOWTIDE_EXEC_MARK"
POLL_S = 0.05
KEPT_POLL_S = 1.0
KILLING_S = 5.0


class Watchdog:
    """The supervised side of the pipe."""

    def __init__(
        self,
        mark: str,
        grace_s: float,
        *,
        keep: bool = False,
        hold: int | None = None,
    ) -> None:
        """`hold`: a file whose lock the watchdog keeps until the command has gone."""
        command = [sys.executable, "-P", "-m", "lowtide.running.watchdog"]
        found_at = os.pathsep.join(folder for folder in sys.path if folder)
        self._process = subprocess.Popen(
            [*command, mark, str(grace_s), "keep" if keep else "end"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=() if hold is None else (hold,),
            env={**os.environ, "PYTHONPATH": found_at},  # the same lowtide, wherever it is
            start_new_session=True,
            text=True,
        )

    def watch(self, session: int) -> None:
        """Tell it of a session that the command was started in."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # someone killed it: the command goes on
            self._process.stdin.write(f"{session}\n")
            self._process.stdin.flush()

    def dismiss(self) -> None:
        """The command has ended: nothing is left to watch."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


def members(mark: str, sessions: set[int]) -> list[psutil.Process]:
    """The living processes that carry the mark or belong to one of the sessions."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mine = process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE
            if not mine and _belongs(process, mark, sessions):
                found.append(process)
    return found


def end_orphans(mark: str, sessions: set[int], grace_s: float, *, keep: bool) -> None:
    """Let them go on; unless kept, with a SIGTERM each, and a SIGKILL after `grace_s`.

    Those that are kept are waited for: until then the lock says that the command runs.
    """
    if keep:
        signal_each(members(mark, sessions), signal.SIGCONT)
        while members(mark, sessions):
            time.sleep(KEPT_POLL_S)
        return
    asked: set[psutil.Process] = set()
    until_s = time.monotonic() + grace_s
    while (left := members(mark, sessions)) and time.monotonic() < until_s:
        signal_each([process for process in left if process not in asked], signal.SIGTERM)
        signal_each(left, signal.SIGCONT)
        asked.update(left)
        time.sleep(POLL_S)
    until_s = time.monotonic() + KILLING_S
    while (left := members(mark, sessions)) and time.monotonic() < until_s:
        signal_each(left, signal.SIGKILL)
        time.sleep(POLL_S)


def _belongs(process: psutil.Process, mark: str, sessions: set[int]) -> bool:
    if os.getsid(process.pid) in sessions:
        return True
    return bool(process.environ().get(MARK) == mark)


def main(mark: str, grace_s: float, keep: bool) -> None:
    """Read sessions until the pipe ends: then the writer is dead, for it never closes it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions = {int(line) for line in sys.stdin}
    end_orphans(mark, sessions, grace_s, keep=keep)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3] == "keep")
