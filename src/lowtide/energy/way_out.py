"""Something that has to be undone however the process ends, short of kill -9."""

import atexit
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class WayOut:
    """`action` is called on closing, at the interpreter's exit, and before a signal ends it.

    Only signals that nobody handles are caught, and they go on to end the process: who handles one
    (Python does SIGINT, as KeyboardInterrupt) unwinds the stack or decides otherwise. None can be
    caught outside of the main thread. Forked children never act. The action may come twice.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action, self._pid = action, os.getpid()
        self._caught: list[signal.Signals] = []

    def open(self) -> None:
        atexit.register(self._act)
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._end)
                self._caught.append(number)

    def close(self) -> None:
        self._act()
        atexit.unregister(self._act)
        if threading.current_thread() is not threading.main_thread():
            return  # a handler that is left finds nothing to do, and the signal ends the process
        for number in self._caught:
            if signal.getsignal(number) == self._end:
                signal.signal(number, signal.SIG_DFL)
        self._caught.clear()

    def _act(self) -> None:
        if os.getpid() == self._pid:
            self._action()

    def _end(self, number: int, frame: FrameType | None) -> None:
        del frame
        try:
            self._act()
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
