"""Core-seconds are those of the work, whatever else the machine does meanwhile."""

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
@pytest.mark.parametrize(
    ("num_images", "recorded", "ratio"),
    [(1, 64, 4.0), (2, 64, 2.5), (64, 64, 1.0), (256, 64, 0.96), (1, 1, 1.0), (16, 1, 1 / 3.5),
     (1, 256, 4.15)],
)  # fmt: skip
def test_an_image_takes_more_in_a_small_batch(
    largest: int, num_images: float, recorded: int, ratio: float
) -> None:
    """1 s for each image and 3.2 s for each batch, whatever the largest that is served."""
    cost = BatchCost(one_s=4.2, largest_s=3.2 + largest, largest=largest)
    assert cost.ratio(num_images, recorded) == pytest.approx(ratio, rel=0.01)


def test_batches_of_another_size_on_average_take_what_they_take_each() -> None:
    """3.2 s for each of 7 batches, and 1 s for each of 28 images."""
    cost = BatchCost(one_s=4.2, largest_s=67.2, largest=64)
    assert cost.ratio(28 / 7, 1) == pytest.approx((7 * 3.2 + 28) / 28 / 4.2)


def test_what_is_unknown_has_no_ratio() -> None:
    cost = BatchCost(4.2, 67.2, 64)
    assert cost.ratio(None, 64) is cost.ratio(1, None) is None
    assert BatchCost(1.0, 1.0, 1).ratio(1, 64) is None, "only one size was timed"
    assert BatchCost(0.0, 0.0, 64).ratio(8, 64) is None
    assert BatchCost(0.0, 1.0, 64).ratio(8, 1) is None


def test_batches_of_the_recorded_size_take_as_much_whatever_was_timed() -> None:
    assert BatchCost(1.0, 1.0, 1).ratio(1, 1) == 1.0


def test_a_clock_that_jumps_gives_no_negative_cost() -> None:
    assert BatchCost(1.2, 1.0, 2).ratio(256, 64) == pytest.approx(0.25)
