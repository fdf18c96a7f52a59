"""Ctrl-C and its kin: passed on to the command once, and the second time it is killed."""

import signal
from collections import deque
from types import FrameType, TracebackType
from typing import Self

from lowtide.running.child import Child

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While it is entered, signals wait here for `pass_on` instead of ending the process.

    A signal that was ignored from the start (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._waiting: deque[int] = deque()
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()

    def pass_on(self, child: Child) -> int | None:
        """Hand what has come to the command; the first signal ever, or None while there is none.

        A stopped command is woken, so that it can act on the signal.
        """
        while self._waiting:
            number = self._waiting.popleft()
            if self.first is not None:
                child.kill()
                continue
            self.first = number
            if child.alive:
                child.signal(number)
                child.resume()
        return self.first

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._waiting.append(number)
