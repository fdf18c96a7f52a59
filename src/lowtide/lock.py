"""One pipeline at a time in one checkout."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lowtide.artifacts import write_json
from lowtide.errors import LockedError

HELD = "LOWTIDE_LOCK_HELD"  # set for the children of a flow that holds the lock


@contextmanager
def pipeline_lock(state: Path) -> Iterator[None]:
    """Hold the checkout's lock; at once if a parent process holds it already.

    Raises:
        LockedError: another process holds it; names its pid and command.
    """
    if os.environ.get(HELD) == "1":
        yield
        return
    state.mkdir(parents=True, exist_ok=True)
    holder = state / "lock.json"
    lock = FileLock(state / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            f"another pipeline works in this checkout: {_holder(holder)}; wait for it or stop it"
        ) from None
    try:
        write_json(holder, {"pid": os.getpid(), "command": " ".join(sys.argv)})
        os.environ[HELD] = "1"
        yield
    finally:
        os.environ.pop(HELD, None)
        holder.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        return "an unknown process"
    return f"pid {held['pid']} ({held['command']})"
