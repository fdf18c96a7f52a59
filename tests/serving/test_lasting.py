"""What runs beside the requests is begun again after a failure, and says it once."""

import asyncio
import logging

import pytest

from lowtide.serving import lasting as module
from lowtide.serving.lasting import lasting


def test_a_failure_is_logged_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    failures = iter([KeyError("x"), KeyError("x"), OSError("disk")])

    async def work() -> None:
        for error in failures:
            raise error

    with caplog.at_level(logging.ERROR):
        asyncio.run(lasting("following", work))
    assert [record.message for record in caplog.records] == [
        "following failed and is begun again: KeyError: 'x'",
        "following failed and is begun again: OSError: disk",
    ]
    assert next(failures, None) is None, "it went on to its end"


def test_it_can_be_cancelled() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(lasting("x", lambda: asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 5)
        assert task.cancelled()

    asyncio.run(cancelled())
