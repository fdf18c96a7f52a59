"""How images get to the device that they are trained on."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lowtide.data.arrays import ImageArrays

NUM_WORKERS = 4
RESIDENT_SHARE = 0.2  # of the GPU's free memory: a split that takes more stays in main memory

Pair = tuple[Tensor, Tensor]


class Fetching:
    """Batches (uint8 images [B, C, H, W], labels [B]) of a split, on `device`.

    On the CPU straight from the arrays. A GPU keeps the whole split in its memory where that takes
    little of it, from the first batch on; else batches come through pinned memory and workers.
    """

    def __init__(self, arrays: ImageArrays, device: torch.device) -> None:
        self._arrays, self._device = arrays, device

    def batches(self, rows: list[np.ndarray]) -> Iterator[Pair]:
        """One for each array of row numbers."""
        if self._device.type == "cpu":
            return (_take(self._arrays, batch) for batch in rows)
        if self._resident is not None:
            images, labels = self._resident
            indices = (torch.from_numpy(batch).to(self._device) for batch in rows)
            return ((images[index], labels[index]) for index in indices)
        loader = DataLoader(
            _Rows(self._arrays, rows), batch_size=None, num_workers=NUM_WORKERS, pin_memory=True
        )
        return ((self._moved(images), self._moved(labels)) for images, labels in loader)

    @cached_property
    def _resident(self) -> Pair | None:
        """The split on the GPU; None where it would take too much there."""
        images, labels = self._arrays.images, self._arrays.labels
        free_bytes, _ = torch.cuda.mem_get_info(self._device)
        if images.nbytes + labels.nbytes > RESIDENT_SHARE * free_bytes:
            return None
        return self._moved(torch.from_numpy(np.array(images))), self._moved(
            torch.from_numpy(labels)
        )

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, non_blocking=True)


class _Rows(Dataset[Pair]):
    """Item i is batch i."""

    def __init__(self, arrays: ImageArrays, rows: list[np.ndarray]) -> None:
        self._arrays, self._rows = arrays, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Pair:
        return _take(self._arrays, self._rows[index])


def _take(arrays: ImageArrays, rows: np.ndarray) -> Pair:
    images = torch.from_numpy(np.ascontiguousarray(arrays.images[rows]))
    return images, torch.from_numpy(arrays.labels[rows])
