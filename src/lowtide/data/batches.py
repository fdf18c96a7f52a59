"""Prepared arrays in batches. Order and augmentation follow from seed and epoch alone."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lowtide.data.arrays import ImageArrays
from lowtide.data.augment import Augmentation, Moves, augment, draw_moves
from lowtide.data.fetching import Fetching


@dataclass(frozen=True)
class Batch:
    """uint8 images [B, C, H, W] as augmented in `view`, labels [B], and their rows in the split."""

    images: Tensor
    labels: Tensor
    rows: np.ndarray
    view: int


class Batches:
    """Batches of a split on a device.

    With `num_views`, epoch e shows every image as in epoch e % num_views: what a teacher said of
    it then still holds. Without, every epoch augments anew. `in_pairs`: views 2k and 2k + 1 show
    the same crops, of which the second ones are mirrored.

    `share` (rank, size): of each batch every size-th image from rank on, for one of `size`
    processes; where that is none the batch is left out. `batch_size` and `len` are of the whole.
    """

    def __init__(
        self,
        arrays: ImageArrays,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        device: torch.device,
        augment: Augmentation = "none",
        drop_last: bool = False,
        num_views: int | None = None,
        in_pairs: bool = False,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self._arrays, self._batch_size, self._shuffle = arrays, batch_size, shuffle
        self._fetching = Fetching(arrays, device)
        self.seed, self._device, self._augment = seed, device, augment
        self._drop_last, self._share = drop_last, share
        self._num_views, self._in_pairs = num_views, in_pairs
        self._labels = torch.from_numpy(arrays.labels)

    def __len__(self) -> int:
        whole, rest = divmod(len(self._labels), self._batch_size)
        return whole if self._drop_last or not rest else whole + 1

    @property
    def batch_size(self) -> int:
        return self._batch_size

    def resized(self, batch_size: int) -> "Batches":
        """The same images in batches of another size, of at most all images, or as many of them as
        give each process the same number."""
        other, (_, size) = copy(self), self._share
        other._batch_size = min(batch_size, len(self._labels) // size * size)
        return other

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """From batch `start` on; those before it are not loaded."""
        order, (rank, size) = self._order(epoch), self._share
        firsts = range(start * self._batch_size, len(self) * self._batch_size, self._batch_size)
        whole = [order[first : first + self._batch_size] for first in firsts]
        rows = [batch[rank::size] for batch in whole if len(batch) > rank]
        view = epoch if self._num_views is None else epoch % self._num_views
        moves = self._moves(view)
        for chosen, (images, labels) in zip(rows, self._fetching.batches(rows), strict=True):
            moved = augment(images, None if moves is None else moves.of(chosen))
            yield Batch(moved, labels, chosen, view)

    def _moves(self, view: int) -> Moves | None:
        drawn_for, mirror = divmod(view, 2) if self._in_pairs else (view, 0)
        moves = draw_moves(self._augment, self._arrays.images.shape, (self.seed, drawn_for))
        if moves is None:
            return None
        return (moves.mirror() if mirror else moves).to(self._device)

    def _order(self, epoch: int) -> np.ndarray:
        if not self._shuffle:
            return np.arange(len(self._labels))
        return np.random.default_rng((self.seed, epoch)).permutation(len(self._labels))
