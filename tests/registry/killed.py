"""Promotions in processes of their own, which end with SIGKILL where a test says."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["mlflow", "onnx", "onnxruntime", "tests.registry.stores"])


@dataclass(frozen=True)
class Point:
    """Right before or right after the n-th statement in the registry's database, counted from 1, or
    the n-th call of the client's method `name`, if one is given."""

    number: int
    after: bool
    name: str | None = None


@dataclass(frozen=True)
class Promotion:
    store: str
    model: Path
    against: Path


def promote_until(promotion: Promotion, point: Point | None) -> None:
    """In the process that is to be killed."""
    from tests.registry.stores import put

    os.chdir(promotion.model.parent)
    if point is not None:
        _kill_at(point)
    put(promotion.store, promotion.model, passed=True, against=promotion.against)


def promote_when_free(promotion: Promotion, barrier: Any, outcomes: Any) -> None:
    """Beside others; as a task does, it comes again where the lock is held."""
    from lowtide.errors import LockedError
    from tests.registry.stores import put

    os.chdir(promotion.model.parent)
    barrier.wait(120)
    while True:
        try:
            done = put(promotion.store, promotion.model, passed=True, against=promotion.against)
        except LockedError as error:
            outcomes.put(("held", str(error)))
            time.sleep(0.2)
            continue
        outcomes.put(("champion" if "champion" in done.aliases else "refused", done.outcome))
        return


def killed_at(promotion: Promotion, point: Point) -> bool:
    """Whether it was killed; it may have been through before the point."""
    process = FORKED.Process(target=promote_until, args=(promotion, point))
    process.start()
    process.join(240)
    assert process.exitcode in {0, -signal.SIGKILL}
    return process.exitcode != 0


def num_statements(promotion: Promotion) -> int:
    """That a whole promotion executes in the registry's database."""
    counted = FORKED.Queue()
    process = FORKED.Process(target=_count_statements, args=(promotion, counted))
    process.start()
    found: int = counted.get(timeout=240)
    process.join(60)
    return found


def _count_statements(promotion: Promotion, counted: Any) -> None:
    made: list[None] = []
    _listen("before_cursor_execute", lambda: made.append(None))
    promote_until(promotion, None)
    counted.put(len(made))


def _kill_at(point: Point) -> None:
    """This process, where the point says."""
    left = [point.number]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if point.name is None:
        _listen("after_cursor_execute" if point.after else "before_cursor_execute", count)
    else:
        _around(point.name, point.after, count)


def _listen(event: str, notify: Callable[[], None]) -> None:
    from sqlalchemy import Engine
    from sqlalchemy.event import listen

    listen(Engine, event, lambda *_: notify())


def _around(name: str, after: bool, notify: Callable[[], None]) -> None:
    from mlflow import MlflowClient

    call = getattr(MlflowClient, name)

    def made(*arguments: Any, **named: Any) -> Any:
        if not after:
            notify()
        found = call(*arguments, **named)
        if after:
            notify()
        return found

    setattr(MlflowClient, name, made)
