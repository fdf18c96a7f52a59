"""Random changes that leave the class as it is, on whole batches."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Augmentation = Literal["none", "shift", "flip-shift"]


@dataclass(frozen=True)
class Moves:
    """How each image is moved: offsets [2, N] of the crop (rows, columns), mirrored [N]."""

    offsets: Tensor
    mirrored: Tensor
    reach: int

    def to(self, device: torch.device) -> Self:
        return type(self)(self.offsets.to(device), self.mirrored.to(device), self.reach)

    def mirror(self) -> Self:
        """The same crops, each turned the other way round."""
        return type(self)(self.offsets, ~self.mirrored, self.reach)

    def of(self, rows: np.ndarray) -> Self:
        index = torch.from_numpy(rows).to(self.offsets.device)
        return type(self)(self.offsets[:, index], self.mirrored[index], self.reach)


def draw_moves(kind: Augmentation, shape: tuple[int, ...], seed: tuple[int, ...]) -> Moves | None:
    """Moves for images [N, C, H, W]: shifts by up to an eighth of the smaller side (at least a
    pixel), and for `flip-shift` a mirror image with even odds. The same seed, the same moves.
    """
    if kind == "none":
        return None
    num, _, height, width = shape
    reach = max(1, min(height, width) // 8)
    generator = np.random.default_rng(seed)
    offsets = generator.integers(0, 2 * reach + 1, (2, num), dtype=np.int64)
    mirrored = generator.random(num) < (0.5 if kind == "flip-shift" else 0.0)
    return Moves(torch.from_numpy(offsets), torch.from_numpy(mirrored), reach)


def augment(images: Tensor, moves: Moves | None) -> Tensor:
    """uint8 [B, C, H, W] -> the same shape, each image moved, its borders reflected."""
    if moves is None:
        return images
    batch, _, height, width = images.shape
    padded = F.pad(images.float(), (moves.reach,) * 4, mode="reflect").to(images.dtype)
    rows = moves.offsets[0][:, None] + torch.arange(height, device=images.device)
    columns = moves.offsets[1][:, None] + torch.arange(width, device=images.device)
    columns = torch.where(moves.mirrored[:, None], columns.flip(1), columns)
    index = torch.arange(batch, device=images.device)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
