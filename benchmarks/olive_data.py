"""Held-out images for Olive's data configuration, which asks for a script that registers them."""

from typing import Any

import numpy as np
import torch
from olive.data.registry import Registry
from torch import Tensor
from torch.utils.data import Dataset


class HeldOut(Dataset[tuple[dict[str, Tensor], int]]):
    def __init__(self, images: str, labels: str, num_images: int) -> None:
        self._images = np.load(images, mmap_mode="r")[:num_images]
        self._labels = np.load(labels)[:num_images]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor], int]:
        image = torch.from_numpy(np.array(self._images[index]))
        return {"image": image}, int(self._labels[index])


@Registry.register_dataset()
def held_out_images(images: str, labels: str, num_images: int, **_: Any) -> HeldOut:
    return HeldOut(images, labels, num_images)


@Registry.register_post_process()
def most_likely(output: Any, **_: Any) -> Tensor:
    logits = output["logits"] if isinstance(output, dict) else output
    return torch.as_tensor(logits).argmax(dim=-1)
