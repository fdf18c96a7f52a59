"""A torch user's network that cannot be trained while another has the GPU's memory."""

from pathlib import Path

import torch
from torch import Tensor, nn

TAKEN = Path("taken")  # while this file exists


class Guest(nn.Module):
    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled() and TAKEN.exists():
            raise _raised(TAKEN.read_text(encoding="utf-8"))
        return self.layers(images)  # type: ignore[no-any-return]


def _raised(by: str) -> Exception:
    if by == "disk":
        return OSError(28, "No space left on device")
    error = RuntimeError("CUDA out of memory.\nTried to allocate 2.00 GiB")
    if by == "network":  # while it deals with a file that is not there, which is its own matter
        error.__context__ = FileNotFoundError(2, "No such file or directory")
    return error


def guest(channels: int, _size: tuple[int, int], num_classes: int) -> nn.Module:
    return Guest(channels, num_classes)
