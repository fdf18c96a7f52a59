"""The order and augmentation of an epoch follow from seed and epoch."""

from itertools import islice

import numpy as np
import pytest
import torch

from lowtide.data.augment import augment
from lowtide.data.batches import Batches, ImageArrays


def arrays(num: int = 20) -> ImageArrays:
    images = np.random.default_rng(0).integers(0, 256, (num, 3, 8, 8), dtype=np.uint8)
    return ImageArrays(images, np.arange(num) % 4)


def batches(**changes: object) -> Batches:
    settings = {"shuffle": True, "seed": 1, "device": torch.device("cpu"), **changes}
    return Batches(arrays(), 6, **settings)  # type: ignore[arg-type]


def test_an_epoch_visits_every_image_once() -> None:
    labels = torch.cat([labels for _, labels in batches().epoch(0)])
    assert torch.bincount(labels).tolist() == [5, 5, 5, 5]
    assert len(batches()) == 4
    assert len(batches(drop_last=True)) == 3


def test_the_rest_of_an_epoch_is_the_same_after_a_resume() -> None:
    whole = list(batches(augment="flip-shift").epoch(3))
    rest = list(islice(batches(augment="flip-shift").epoch(3), 2, None))
    for (a, x), (b, y) in zip(whole[2:], rest, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(x, y)


def test_epochs_and_seeds_differ() -> None:
    first = next(iter(batches().epoch(0)))[0]
    assert not torch.equal(first, next(iter(batches().epoch(1)))[0])
    assert not torch.equal(first, next(iter(batches(seed=2).epoch(0)))[0])


@pytest.mark.parametrize("kind", ["none", "shift", "flip-shift"])
def test_augmentation_keeps_shape_and_pixels(kind: str) -> None:
    images = torch.from_numpy(arrays().images)
    changed = augment(images, kind, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    assert set(changed.unique().tolist()) <= set(images.unique().tolist())


def test_a_shift_moves_each_image_on_its_own() -> None:
    ramp = torch.arange(8, dtype=torch.uint8).view(1, 1, 1, 8).expand(64, 1, 8, 8)
    rows = augment(ramp, "shift", torch.Generator().manual_seed(0))[:, 0, 0]
    starts = {tuple(row.tolist()) for row in rows}
    assert starts == {
        (0, 1, 2, 3, 4, 5, 6, 7), (1, 0, 1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 7, 6),
    }  # fmt: skip
