"""Core-seconds of a batch, and what an image takes in a small one."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from time import process_time, thread_time

import numpy as np

RECORDED = 64  # images of a batch by which joules are recorded: `evaluate.batch_size`, by default


def timed(
    run: Callable[[np.ndarray], np.ndarray], images: np.ndarray, num_threads: int
) -> tuple[np.ndarray, float]:
    """What `run` gives, and about the core-seconds that it took: as many times the CPU time of this
    thread as threads may help it, and no more than the process took meanwhile."""
    process_s, thread_s = process_time(), thread_time()
    found = run(images)
    thread_s = thread_time() - thread_s
    return found, min(process_time() - process_s, thread_s * num_threads)


@dataclass(frozen=True)
class BatchCost:
    """Core-seconds of one image alone, and of a batch of the `largest` size; any batch is taken to
    cost a part that is fixed, and a part for each image."""

    one_s: float
    largest_s: float
    largest: int

    def over_recorded(self, num_images: int) -> float:
        """What an image takes in a batch of so many, over what it takes in one of `RECORDED`; NaN
        where only one size was timed, or the clock could not tell."""
        if self.largest == 1 or self.largest_s <= 0:
            return nan
        return self._batch_s(num_images) / num_images / (self._batch_s(RECORDED) / RECORDED)

    def _batch_s(self, num_images: int) -> float:
        each_s = max((self.largest_s - self.one_s) / (self.largest - 1), 0.0)
        return self.one_s + each_s * (num_images - 1)
