"""Shifts are small, differ from each other, and are the same each time and for each model."""

import numpy as np
import pytest

from lowtide.evaluation.robustness import BATCH, SHIFTS, shifted, shifted_answers

IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH + 7, 1, 8, 8), dtype=np.uint8)


class Brightest:
    """Names the row that is brightest, and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.shown.append(images)
        return images.astype(float).mean((1, 3))


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_is_small_and_repeats(shift: str) -> None:
    once = shifted(shift, IMAGES)
    assert once.dtype == np.uint8
    assert once.shape == IMAGES.shape
    assert np.array_equal(once, shifted(shift, IMAGES))
    change = np.abs(once.astype(int) - IMAGES).mean()
    assert 1 < change < 70
    assert not np.array_equal(shifted("noise", IMAGES, 0), shifted("noise", IMAGES, BATCH))


def test_a_blur_does_not_mix_images_or_channels() -> None:
    images = np.zeros((2, 2, 8, 8), np.uint8)
    images[1, 1, 4, 4] = 255
    blurred = shifted("blur", images)
    assert blurred[1, 1].sum() > 0
    assert blurred[0].sum() == blurred[1, 0].sum() == 0


def test_all_models_see_the_same_and_answer_for_every_image() -> None:
    models = {"model": Brightest(), "champion": Brightest()}
    found = shifted_answers(models, IMAGES)  # type: ignore[arg-type]
    assert found["model"].keys() == SHIFTS.keys()
    for shift in SHIFTS:
        assert found["model"][shift].shape == (len(IMAGES),)
        assert np.array_equal(found["model"][shift], found["champion"][shift])
    shown = zip(models["model"].shown, models["champion"].shown, strict=True)
    assert all(np.array_equal(one, other) for one, other in shown)
