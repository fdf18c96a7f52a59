"""Requests are joined under load, and a lone one is not kept waiting."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from lowtide.errors import ModelError, OverloadedError
from lowtide.serving.batcher import Batcher, BatchLimits

WAIT_S = 0.5


def images(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1)


class Doubling:
    """Answers a batch by its values, doubled; notes how many came at once."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.sizes: list[int] = []
        self._takes_s = takes_s

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(len(batch))
        time.sleep(self._takes_s)
        return batch.reshape(len(batch), -1) * np.float32(2)


def drive(
    run: Callable[[np.ndarray], np.ndarray],
    act: Callable[[Batcher], Coroutine[Any, Any, Any]],
    num_images: int = 4,
) -> Any:
    """What `act` returns, done with a batcher of its own event loop."""
    limits = BatchLimits(num_images=num_images, wait_s=WAIT_S, num_queued=8)

    async def acted() -> Any:
        with ThreadPoolExecutor(1) as executor:
            return await act(Batcher(run, limits, executor, lambda _: None))

    return asyncio.run(acted())


def test_a_lone_request_does_not_wait_for_others() -> None:
    async def one_by_one(batcher: Batcher) -> float:
        began = time.perf_counter()
        for value in range(3):
            assert (await batcher.infer(images(value))).item() == 2 * value
        return time.perf_counter() - began

    run = Doubling()
    assert drive(run, one_by_one) < WAIT_S
    assert run.sizes == [1, 1, 1]


def test_those_who_come_while_a_batch_runs_go_together_and_get_their_own() -> None:
    async def together(batcher: Batcher) -> list[np.ndarray]:
        first = asyncio.create_task(batcher.infer(images(0)))
        await asyncio.sleep(0.02)
        return [await first, *await asyncio.gather(*(batcher.infer(images(v)) for v in (1, 2, 3)))]

    run = Doubling(0.1)
    assert [answer.item() for answer in drive(run, together)] == [0, 2, 4, 6]
    assert run.sizes == [1, 3]


def test_after_a_joint_batch_as_many_are_waited_for_again() -> None:
    """The second round comes apart in time, and is joined all the same."""

    async def rounds(batcher: Batcher) -> None:
        await asyncio.gather(*(batcher.infer(images(v)) for v in (1, 2)))
        first = asyncio.create_task(batcher.infer(images(1)))
        await asyncio.sleep(0.05)
        await asyncio.gather(first, batcher.infer(images(2)))

    run = Doubling()
    drive(run, rounds)
    assert run.sizes == [2, 2]


def test_a_request_larger_than_a_batch_is_run_by_itself() -> None:
    async def large(batcher: Batcher) -> list[np.ndarray]:
        return await asyncio.gather(*(batcher.infer(images(*range(n))) for n in (1, 6, 1)))

    run = Doubling()
    answers = drive(run, large)
    assert [len(answer) for answer in answers] == [1, 6, 1]
    assert run.sizes == [1, 6, 1]


def test_too_many_are_told_to_come_back() -> None:
    async def flood(batcher: Batcher) -> list[Any]:
        asked = (batcher.infer(images(v)) for v in range(20))
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = drive(Doubling(0.01), flood)
    refused = [answer for answer in answers if isinstance(answer, OverloadedError)]
    assert len(refused) == 12
    assert "wait already" in str(refused[0])


def test_a_failure_is_told_to_all_of_the_batch_and_the_next_one_runs() -> None:
    failing = True

    def run(batch: np.ndarray) -> np.ndarray:
        if failing:
            raise ModelError("broken")
        return batch.reshape(len(batch), -1)

    async def twice(batcher: Batcher) -> list[Any]:
        nonlocal failing
        asked = (batcher.infer(images(v)) for v in (1, 2))
        told = await asyncio.gather(*asked, return_exceptions=True)
        failing = False
        return [*told, await asyncio.wait_for(batcher.infer(images(5)), 5)]

    *told, after = drive(run, twice)
    assert all(isinstance(each, ModelError) for each in told)
    assert after.item() == 5


def test_arrays_that_cannot_be_joined_are_told_so_and_the_next_one_runs() -> None:
    async def unlike(batcher: Batcher) -> list[Any]:
        asked = [batcher.infer(one) for one in (images(1), np.zeros((1, 2, 2, 2), np.uint8))]
        told = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)
        return [*told, await asyncio.wait_for(batcher.infer(images(5)), 5)]

    *told, after = drive(Doubling(), unlike)
    assert all(isinstance(each, ValueError) for each in told)
    assert after.item() == 10


def test_who_has_gone_away_is_not_run() -> None:
    async def leave(batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.infer(images(0)))
        await asyncio.sleep(0.02)
        gone = asyncio.create_task(batcher.infer(images(1)))
        await asyncio.sleep(0)
        gone.cancel()
        await first
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert batcher.num_queued == 0

    run = Doubling(0.1)
    drive(run, leave)
    assert run.sizes == [1]
