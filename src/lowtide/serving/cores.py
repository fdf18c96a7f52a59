"""Core-seconds of a batch, and what an image takes in a small one."""

from collections.abc import Callable
from dataclasses import dataclass
from time import process_time, thread_time

import numpy as np


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

    def ratio(self, num_images: float | None, recorded: int | None) -> float | None:
        """What an image takes in batches of so many, or so many on average, over what it takes in
        batches of `recorded`; None where either is unknown, only one size was timed, or the clock
        could not tell."""
        if not num_images or not recorded:
            return None
        if num_images == recorded:
            return 1.0
        if self.largest == 1 or min(self.one_s, self.largest_s) <= 0:
            return None
        return self._image_s(num_images) / self._image_s(recorded)

    def _image_s(self, num_images: float) -> float:
        each_s = max((self.largest_s - self.one_s) / (self.largest - 1), 0.0)
        return (self.one_s + each_s * (num_images - 1)) / num_images
