"""The command and everything below it: start, stop, go on, end; and its CPU time so far."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import psutil

from lowtide.errors import UsageError
from lowtide.running.processes import cpu_s_of, group_of, parent_of, signal_each, status_of

POLL_S = 0.05
PASSES = 20  # over a tree that forks while it is signalled
PR_SET_CHILD_SUBREAPER = 36
STILL = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_DEAD)


def require_program(command: Sequence[str]) -> None:
    """Raises UsageError where there is no such program: now, not hours later at its start."""
    if shutil.which(command[0]) is None:
        raise UsageError(f"no program {command[0]!r} to run: check the name and the path")


class Child:
    """One command at a time, in a session of its own, so that a terminal's signals pass by it.

    On Linux the process adopts what the command orphans: a daemon that it left behind is still
    metered, stopped and ended with it. Elsewhere a process that leaves both the tree and the
    session escapes. Create it in the main thread, after every other subprocess: those are spared.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        stdout: int | None = None,
        on_start: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`on_start` is told the process id of each start: the id of its session and group too."""
        _adopt_orphans()
        self._command, self._environment, self._stdout = command, environment, stdout
        self._on_start = on_start
        self._spared = {process.pid for process in psutil.Process().children()}
        self._popen: subprocess.Popen[bytes] | None = None
        self._reaped_s = 0.0
        self._lock = threading.Lock()  # the meter's thread reads the CPU time

    def start(self) -> None:
        """Raises UsageError where there is no such program, or it may not be run."""
        try:
            with self._lock:  # else the meter's thread could take it for an orphan
                self._popen = subprocess.Popen(
                    self._command,
                    env=dict(self._environment),
                    stdout=self._stdout,
                    start_new_session=True,
                )
        except OSError as error:
            raise UsageError(
                f"cannot run {self._command[0]!r}: {error.strerror}; check the name and the path"
            ) from None
        self._on_start(self._popen.pid)

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.returncode is None

    def poll(self) -> int | None:
        """The exit code once the command has ended, 128+n after signal n; None before."""
        if self._popen is None:
            return None
        with self._lock:
            if self._popen.returncode is None:
                pid, status, usage = os.wait4(self._popen.pid, os.WNOHANG)
                if pid == 0:
                    return None
                self._popen.returncode = os.waitstatus_to_exitcode(status)
                self._reaped_s += usage.ru_utime + usage.ru_stime
        code = self._popen.returncode
        return code if code >= 0 else 128 - code

    def cpu_s(self) -> float:
        """CPU seconds of the command with all below it, in all its starts; ended ones count."""
        with self._lock:
            below = self._below()  # first: it may reap
            return self._reaped_s + sum(cpu_s_of(process) for process in below)

    def stop(self) -> None:
        """Freeze the whole tree: the group at once, then who left it, until none is missed."""
        self._signal_group(signal.SIGSTOP)
        for _ in range(PASSES):
            moving = [process for process in self._outsiders() if status_of(process) not in STILL]
            if not moving:
                return
            signal_each(moving, signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        self._signal_group(number)
        signal_each(self._outsiders(), number)

    def kill(self) -> None:
        for _ in range(PASSES):
            self.signal(signal.SIGKILL)
            if self._gone_within(5 * POLL_S):
                return

    def end(self, grace_s: float) -> None:
        """Leave nothing: terminate what is there, stopped or not, and kill it after `grace_s`."""
        if self._gone_within(0):
            return
        self.signal(signal.SIGTERM)
        self.resume()
        if not self._gone_within(grace_s):
            self.kill()

    def _gone_within(self, seconds: float) -> bool:
        until_s = time.monotonic() + seconds
        while True:
            self.poll()
            with self._lock:
                if not self.alive and not self._members():
                    return True
            if time.monotonic() >= until_s:
                return False
            time.sleep(POLL_S)

    def _signal_group(self, number: int) -> None:
        if self.alive:  # once it has been waited for, its number may become another's
            assert self._popen is not None
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, number)

    def _outsiders(self) -> list[psutil.Process]:
        """Members whom a signal to the group does not reach: all, once the command has ended."""
        with self._lock:
            members = self._members()
        if not self.alive:
            return members
        assert self._popen is not None
        return [process for process in members if group_of(process) != self._popen.pid]

    def _members(self) -> list[psutil.Process]:
        return [process for process in self._below() if status_of(process) != psutil.STATUS_ZOMBIE]

    def _below(self) -> list[psutil.Process]:
        """All below this process but what it spares, the dead that nobody has waited for too.

        Who was orphaned and has ended is this process's to wait for.
        """
        this = psutil.Process()
        below = [p for p in this.children(recursive=True) if p.pid not in self._spared]
        return [process for process in below if not self._reaped(process, this.pid)]

    def _reaped(self, process: psutil.Process, this: int) -> bool:
        own = self._popen.pid if self._popen is not None else None
        if process.pid == own or parent_of(process) != this:
            return False  # the command itself is poll's; another's child is that other's
        try:
            pid, _, usage = os.wait4(process.pid, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid:
            self._reaped_s += usage.ru_utime + usage.ru_stime
        return pid != 0


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
