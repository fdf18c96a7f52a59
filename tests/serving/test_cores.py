"""Core-seconds are those of the work, whatever else the machine does meanwhile."""

import math
import time

import numpy as np
import pytest

from lowtide.serving.cores import BatchCost, timed

IMAGES = np.zeros((1, 1, 8, 8), np.uint8)


def busy(images: np.ndarray) -> np.ndarray:
    end_s = time.thread_time() + 0.02
    while time.thread_time() < end_s:
        pass
    return images


def asleep(images: np.ndarray) -> np.ndarray:
    time.sleep(0.05)
    return images


def test_cpu_time_counts_and_waiting_does_not() -> None:
    found, worked_s = timed(busy, IMAGES, 1)
    assert found is IMAGES
    assert worked_s >= 0.02
    assert timed(asleep, IMAGES, 4)[1] < 0.02


def test_threads_that_did_not_help_are_not_counted() -> None:
    """No more than the process took."""
    before_s = time.process_time()
    _, core_s = timed(busy, IMAGES, 64)
    assert core_s <= time.process_time() - before_s


@pytest.mark.parametrize("largest", [2, 16, 64, 256])
@pytest.mark.parametrize(("num_images", "ratio"), [(1, 4.0), (2, 2.5), (64, 1.0), (256, 0.96)])
def test_an_image_takes_more_in_a_small_batch(largest: int, num_images: int, ratio: float) -> None:
    """1 s for each image and 3.2 s for each batch, whatever the largest that is served."""
    cost = BatchCost(one_s=4.2, largest_s=3.2 + largest, largest=largest)
    assert cost.over_recorded(num_images) == pytest.approx(ratio, rel=0.01)


def test_what_only_one_size_was_timed_of_is_unknown() -> None:
    assert math.isnan(BatchCost(1.0, 1.0, 1).over_recorded(1))
    assert math.isnan(BatchCost(0.0, 0.0, 64).over_recorded(8))


def test_a_clock_that_jumps_gives_no_negative_cost() -> None:
    assert BatchCost(1.2, 1.0, 2).over_recorded(256) == pytest.approx(0.25)
