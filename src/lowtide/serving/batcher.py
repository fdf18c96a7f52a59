"""Requests that come together are answered together, each within a latency bound."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from lowtide.errors import OverloadedError


@dataclass(frozen=True)
class BatchLimits:
    """`wait_s` is how long the first of a batch may wait for others to join."""

    num_images: int
    wait_s: float
    num_queued: int


@dataclass
class _Waiting:
    images: np.ndarray
    answer: "asyncio.Future[np.ndarray]"
    since: float


class Batcher:
    """Joins requests into batches for one model; used from one event loop.

    While a batch runs, others gather. After it, if it was of several requests, as many are waited
    for again, up to `wait_s`: who got an answer is likely to come back. A request that comes alone
    is run at once.
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], np.ndarray],
        limits: BatchLimits,
        executor: Executor,
        observe: Callable[[int], None],
    ) -> None:
        """`run` answers [N, C, H, W] by [N, K], in the executor."""
        self._run, self._limits, self._executor, self._observe = run, limits, executor, observe
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._expected = 1  # requests of the batch to come
        self._ended = 0.0  # when the last batch was answered
        self._task: asyncio.Task[None] | None = None
        self.num_queued = 0  # images

    async def infer(self, images: np.ndarray) -> np.ndarray:
        """Raises:
        OverloadedError: too many images wait already.
        """
        if self.num_queued and self.num_queued + len(images) > self._limits.num_queued:
            raise OverloadedError(
                f"{self.num_queued} images wait already: try again in a second, or send fewer"
            )
        answer: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(images, answer, perf_counter()))
        self.num_queued += len(images)
        self._arrived.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        """Until nothing waits; the next request begins it again."""
        try:
            while self._waiting:
                await self._gather()
                if batch := self._next_batch():
                    await self._answer(batch)
        finally:
            self._task = None

    async def _gather(self) -> None:
        since = self._waiting[0].since
        if since - self._ended > self._limits.wait_s:  # nobody else has come meanwhile
            return
        due = since + self._limits.wait_s
        while len(self._waiting) < self._expected and self.num_queued < self._limits.num_images:
            left_s = due - perf_counter()
            if left_s <= 0:
                break
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left_s)
            except TimeoutError:
                break

    def _next_batch(self) -> list[_Waiting]:
        """From the front, as many as fit, at least one; without those who have gone away."""
        batch: list[_Waiting] = []
        room = self._limits.num_images
        while self._waiting and (not batch or len(self._waiting[0].images) <= room):
            first = self._waiting.popleft()
            self.num_queued -= len(first.images)
            if not first.answer.done():
                batch.append(first)
                room -= len(first.images)
        self._expected = max(len(batch), 1)
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        try:
            images = np.concatenate([one.images for one in batch]) if batch[1:] else batch[0].images
            self._observe(len(images))
            logits = await loop.run_in_executor(self._executor, self._run, images)
        except Exception as error:  # noqa: BLE001 -- whatever it is, those who wait are told
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        start = 0
        for one in batch:
            end = start + len(one.images)
            if not one.answer.done():
                one.answer.set_result(logits[start:end])
            start = end
        self._ended = perf_counter()
