"""A question that may take long, asked aside so that whoever asks can go on looking around."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Asking(Generic[T]):
    """Asks at once, on a thread that dies with the process."""

    def __init__(self, question: Callable[[], T]) -> None:
        self._answer: Future[T] = Future()
        Thread(target=self._ask, args=(question,), daemon=True).start()

    def result(self, timeout_s: float) -> T | None:
        """The answer, or None while there is none; raises what the question raised."""
        wait([self._answer], timeout_s)
        return self._answer.result() if self._answer.done() else None

    def _ask(self, question: Callable[[], T]) -> None:
        try:
            self._answer.set_result(question())
        except BaseException as error:  # noqa: BLE001 -- raised where the answer is wanted
            self._answer.set_exception(error)
