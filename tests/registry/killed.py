"""Promotions in processes of their own, which end with SIGKILL where a test says."""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["mlflow", "onnx", "onnxruntime", "tests.registry.stores"])
CALLS = (
    "create_registered_model", "get_registered_model", "delete_registered_model",
    "set_registered_model_alias", "set_registered_model_tag", "get_model_version_by_alias",
    "set_model_version_tag", "create_model_version", "log_model_artifacts",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """Right before or right after the n-th call of the registry, counted from 1; of those called
    `name` alone, if one is given."""

    call: int
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


def killed_at(promotion: Promotion, point: Point | None) -> bool:
    """Whether it was killed; it may have been through before the point."""
    process = FORKED.Process(target=promote_until, args=(promotion, point))
    process.start()
    process.join(240)
    assert process.exitcode in {0, -signal.SIGKILL}
    return process.exitcode != 0


def _kill_at(point: Point) -> None:
    from mlflow import MlflowClient

    left = [point.call]

    def counted(call: Any) -> Any:
        def made(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not point.after:
                os.kill(os.getpid(), signal.SIGKILL)
            found = call(*arguments, **named)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return made

    for name in CALLS if point.name is None else (point.name,):
        setattr(MlflowClient, name, counted(getattr(MlflowClient, name)))
