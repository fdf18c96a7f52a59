"""A command with a watchdog beside it: whatever becomes of lowtide, nothing is left behind."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lowtide.running.child import Child
from lowtide.running.watchdog import MARK, Watchdog

STDERR = 2


@contextmanager
def guarded_child(
    command: Sequence[str],
    *,
    grace_s: float,
    quiet: bool,
    keep: bool = False,
    hold: int | None = None,
) -> Iterator[Child]:
    """The command, not started yet; it is ended when the body is left.

    `quiet`: what it prints goes to stderr, since stdout is for JSON. `keep`: if this process is
    killed the command lives on, unmetered. `hold`: see `Watchdog`.
    """
    mark = uuid.uuid4().hex
    watchdog = Watchdog(mark, grace_s, keep=keep, hold=hold)
    try:
        child = Child(
            command,
            {**os.environ, MARK: mark},
            stdout=STDERR if quiet else None,
            on_start=watchdog.watch,
        )
        try:
            yield child
        finally:
            child.end(grace_s)
    finally:
        watchdog.dismiss()
