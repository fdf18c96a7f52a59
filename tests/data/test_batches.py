"""The order and augmentation of an epoch follow from seed and epoch."""

from typing import Any

import numpy as np
import pytest
import torch

from lowtide.data.arrays import ImageArrays
from lowtide.data.augment import augment, draw_moves
from lowtide.data.batches import Batches


def arrays(num: int = 20) -> ImageArrays:
    images = np.random.default_rng(0).integers(0, 256, (num, 3, 8, 8), dtype=np.uint8)
    return ImageArrays(images, np.arange(num) % 4)


def batches(**changes: object) -> Batches:
    settings = {"shuffle": True, "seed": 1, "device": torch.device("cpu"), **changes}
    return Batches(arrays(), 6, **settings)  # type: ignore[arg-type]


def test_an_epoch_visits_every_image_once() -> None:
    labels = torch.cat([batch.labels for batch in batches().epoch(0)])
    assert torch.bincount(labels).tolist() == [5, 5, 5, 5]
    assert len(batches()) == 4
    assert len(batches(drop_last=True)) == 3


class Counted(np.ndarray):
    """Images that tell which rows were taken out of them."""

    taken: list[list[int]]

    def __getitem__(self, rows: Any) -> Any:
        self.taken.append(np.asarray(rows).tolist())
        return np.asarray(self)[rows]


@pytest.mark.parametrize("start", [0, 1, 2, 4])
@pytest.mark.parametrize("share", [(0, 1), (1, 2), (2, 3)])
def test_the_rest_of_an_epoch_is_the_same_and_what_is_before_it_is_not_loaded(
    start: int, share: tuple[int, int]
) -> None:
    images = arrays().images.view(Counted)
    images.taken = []
    counted = ImageArrays(images, arrays().labels)
    settings = {
        "shuffle": True, "seed": 1, "device": torch.device("cpu"), "augment": "flip-shift",
        "share": share,
    }  # fmt: skip
    whole = list(batches(**settings).epoch(3))
    rest = list(Batches(counted, 6, **settings).epoch(3, start))  # type: ignore[arg-type]
    for expected, found in zip(whole[start:], rest, strict=True):
        assert torch.equal(expected.images, found.images)
        assert torch.equal(expected.labels, found.labels)
        assert expected.rows.tolist() == found.rows.tolist()
    assert images.taken == [batch.rows.tolist() for batch in whole[start:]]


def test_epochs_and_seeds_differ() -> None:
    first = next(iter(batches().epoch(0))).images
    assert not torch.equal(first, next(iter(batches().epoch(1))).images)
    assert not torch.equal(first, next(iter(batches(seed=2).epoch(0))).images)


@pytest.mark.parametrize("kind", ["none", "shift", "flip-shift"])
def test_augmentation_keeps_shape_and_pixels(kind: str) -> None:
    images = torch.from_numpy(arrays().images)
    changed = augment(images, draw_moves(kind, images.shape, (0,)))  # type: ignore[arg-type]
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    assert set(changed.unique().tolist()) <= set(images.unique().tolist())


def test_a_shift_moves_each_image_on_its_own() -> None:
    ramp = torch.arange(8, dtype=torch.uint8).view(1, 1, 1, 8).expand(64, 1, 8, 8)
    rows = augment(ramp, draw_moves("shift", ramp.shape, (0,)))[:, 0, 0]
    starts = {tuple(row.tolist()) for row in rows}
    assert starts == {
        (0, 1, 2, 3, 4, 5, 6, 7), (1, 0, 1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 7, 6),
    }  # fmt: skip


def by_row(epoch: int, num_views: int | None, **changes: Any) -> dict[int, torch.Tensor]:
    found = batches(augment="flip-shift", num_views=num_views, **changes).epoch(epoch)
    return {
        int(row): image
        for batch in found
        for row, image in zip(batch.rows, batch.images, strict=True)
    }


def test_a_view_shows_every_image_as_before_in_another_order() -> None:
    first, again, other = by_row(0, 2), by_row(2, 2), by_row(1, 2)
    assert all(torch.equal(first[row], again[row]) for row in first)
    assert any(not torch.equal(first[row], other[row]) for row in first)
    assert any(not torch.equal(first[row], image) for row, image in by_row(2, None).items())


def test_views_in_pairs_mirror_each_other() -> None:
    first, second, next_pair = (by_row(epoch, 4, in_pairs=True) for epoch in (0, 1, 2))
    assert all(torch.equal(second[row], image.flip(2)) for row, image in first.items())
    assert any(not torch.equal(next_pair[row], image) for row, image in first.items())


@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_each_batch_and_see_what_one_would(size: int) -> None:
    """The first half of a share is of the first half of the batch, which is compared with all."""
    settings = {"augment": "flip-shift", "drop_last": True}
    whole = list(batches(**settings).epoch(1))
    shares = [list(batches(**settings, share=(rank, size)).epoch(1)) for rank in range(size)]
    for number, batch in enumerate(whole):
        for rank, share in enumerate(shares):
            assert torch.equal(share[number].images, batch.images[rank::size])
            assert share[number].rows.tolist() == batch.rows[rank::size].tolist()
    assert len(batches(**settings, share=(0, size))) == len(whole)
    assert batches(share=(0, size)).batch_size == 6


def test_a_share_of_no_image_is_left_out() -> None:
    """The last of 4 batches has 2 images."""
    assert [len(list(batches(share=(rank, 3)).epoch(0))) for rank in range(3)] == [4, 4, 3]


def test_batches_of_all_images_give_each_process_as_many() -> None:
    assert batches().resized(64).batch_size == 20
    assert batches(share=(0, 3)).resized(64).batch_size == 18
