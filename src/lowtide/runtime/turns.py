"""Seconds of a call of several exported files, in turns so that drift cancels."""

import time
from collections.abc import Mapping

import numpy as np

from lowtide.runtime.onnx_model import OnnxModel

TURN_S = 0.03  # of processor time, so that a busy machine does not cut a turn short
CALLS_MIN = 2


def quickest_calls(
    models: Mapping[str, OnnxModel], images: np.ndarray, num_turns: int
) -> dict[str, float]:
    """Seconds of a call on uint8 images [N, C, H, W]: the quickest of all turns.

    The quickest, since whatever else the machine does only ever adds.
    """
    batch = np.ascontiguousarray(images)
    for model in models.values():
        model.run(batch)
    seconds = dict.fromkeys(models, float("inf"))
    for _ in range(num_turns):
        for name, model in models.items():
            seconds[name] = min(seconds[name], _quickest(model, batch))
    return seconds


def _quickest(model: OnnxModel, batch: np.ndarray) -> float:
    taken: list[float] = []
    end = time.process_time() + TURN_S
    while len(taken) < CALLS_MIN or time.process_time() < end:
        started = time.perf_counter()
        model.run(batch)
        taken.append(time.perf_counter() - started)
    return min(taken)
