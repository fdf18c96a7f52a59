"""Drift is what is both sure and large; images like those of training are none."""

import numpy as np
import pytest

from lowtide.serving.drift import NUM_IMAGES_MIN, Drift, compare, image_statistics
from lowtide.serving.seen import KEPT, Seen


def drawn(seed: int, num: int = 1000, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Statistics and labels of images whose brightness varies."""
    generator = np.random.default_rng(seed)
    base = generator.normal(120 + shift, 30, (num, 1, 1, 1))
    images = np.clip(base + generator.normal(0, 20, (num, 3, 8, 8)), 0, 255).astype(np.uint8)
    return image_statistics(images), generator.integers(0, 10, num)


def judged(live: tuple[np.ndarray, np.ndarray]) -> Drift:
    rows, labels = drawn(0)
    return compare(rows, live[0], labels, live[1], distance_max=0.15)


def test_statistics_are_mean_and_deviation_by_channel() -> None:
    images = np.zeros((1, 2, 2, 2), np.uint8)
    images[0, 1] = [[0, 200], [0, 200]]
    assert image_statistics(images).tolist() == [[0, 100, 0, 100]]


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_same_kind_of_images_is_no_drift(seed: int) -> None:
    assert judged(drawn(seed)).drifted is False


def test_darker_images_are_drift_and_named() -> None:
    drift = judged(drawn(1, shift=-40))
    assert drift.drifted
    assert {check.name for check in drift.checks if check.drifted} == {
        f"mean of channel {channel}" for channel in range(3)
    }


def test_a_trifle_is_none_however_many_images_show_it() -> None:
    drift = judged(drawn(1, num=20_000, shift=3))
    assert min(check.p_value for check in drift.checks) < 0.01
    assert drift.drifted is False


def test_other_labels_are_drift() -> None:
    rows, _ = drawn(1)
    drift = judged((rows, np.zeros(len(rows), np.int64)))
    assert [check.name for check in drift.checks if check.drifted] == ["labels"]


def test_few_images_tell_nothing() -> None:
    assert judged(drawn(1, num=NUM_IMAGES_MIN - 1, shift=-100)).drifted is None


def test_the_last_images_are_kept_and_no_more() -> None:
    seen = Seen()
    for value in range(KEPT // 8 + 2):
        images = np.full((9, 1, 2, 2), min(value, 255), np.uint8)
        seen.add(images, np.eye(9, 4)[:, ::-1])
    rows, labels = seen.snapshot()
    assert rows.shape == (KEPT, 2)
    assert len(labels) == KEPT
    assert rows[:, 0].min() == 2, "the oldest have made room"
    seen.clear()
    assert len(seen.snapshot()[1]) == 0
