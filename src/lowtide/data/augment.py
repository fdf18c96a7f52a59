"""Random changes that leave the class as it is, on whole batches."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Augmentation = Literal["none", "shift", "flip-shift"]


def augment(images: Tensor, kind: Augmentation, generator: torch.Generator) -> Tensor:
    """uint8 [B, C, H, W] -> the same shape: shifted by up to an eighth of the smaller side (at
    least a pixel) with reflected borders, and mirrored with even odds for `flip-shift`.
    """
    if kind == "none":
        return images
    batch, _, height, width = images.shape
    reach = max(1, min(height, width) // 8)
    padded = F.pad(images.float(), (reach,) * 4, mode="reflect").to(images.dtype)
    offsets = torch.randint(0, 2 * reach + 1, (2, batch), generator=generator).to(images.device)
    rows = offsets[0][:, None] + torch.arange(height, device=images.device)
    columns = offsets[1][:, None] + torch.arange(width, device=images.device)
    if kind == "flip-shift":
        mirrored = torch.rand(batch, generator=generator).to(images.device) < 0.5
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    index = torch.arange(batch, device=images.device)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
