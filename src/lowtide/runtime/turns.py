"""Seconds of a call of several exported files, in turns so that drift cancels."""

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import numpy as np

from lowtide.runtime.onnx_model import OnnxModel

TURN_S = 0.03
CALLS_MIN = 2

Key = TypeVar("Key", bound=Hashable)


def quickest_calls(
    models: Mapping[Key, OnnxModel], images: np.ndarray, num_turns: int
) -> dict[Key, float]:
    """Seconds of a call on uint8 images [N, C, H, W]: the quickest of all turns.

    On a CPU they are processor seconds of all threads, which time given to other processes does not
    lengthen; elsewhere seconds by the clock.
    """
    batch = np.ascontiguousarray(images)
    for model in models.values():
        model.run(batch)
    seconds = dict.fromkeys(models, float("inf"))
    for _ in range(num_turns):
        for name, model in models.items():
            on_cpu = model.runtime.provider == "CPUExecutionProvider"
            clock = time.process_time if on_cpu else time.perf_counter
            seconds[name] = min(seconds[name], _quickest(model, batch, clock))
    return seconds


def _quickest(model: OnnxModel, batch: np.ndarray, clock: Callable[[], float]) -> float:
    taken: list[float] = []
    end = clock() + TURN_S
    while len(taken) < CALLS_MIN or clock() < end:
        started = clock()
        model.run(batch)
        taken.append(clock() - started)
    return min(taken)
