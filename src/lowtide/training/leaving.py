"""SIGTERM while no fit listens to it: data are loaded, a device is measured, a report written."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType

from lowtide.training.pacing import Paused


@contextmanager
def deferred_by_sigterm(now: Callable[[], datetime]) -> Iterator[None]:
    """In the body it raises `Paused` of this instant, wherever the main thread is; once."""
    asked = False

    def leave(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise Paused(now())

    former = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
