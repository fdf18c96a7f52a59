"""A split of a data set as arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lowtide.errors import ArtifactError


@dataclass(frozen=True)
class ImageArrays:
    """uint8 images [N, C, H, W], mapped from disk; int64 labels [N]."""

    images: np.ndarray
    labels: np.ndarray


def load_split(folder: Path, split: Literal["train", "val", "test"]) -> ImageArrays:
    try:
        images = np.load(folder / f"{split}_images.npy", mmap_mode="r")
        return ImageArrays(images, np.load(folder / f"{split}_labels.npy"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{folder} has no usable {split} images ({error}): run prepare"
        ) from None


def drawn(split: ImageArrays, num_images: int, seed: int) -> ImageArrays:
    """At random, by the seed; all where there are fewer."""
    order = np.random.default_rng(seed).permutation(len(split.labels))
    chosen = np.sort(order[:num_images])
    return ImageArrays(split.images[chosen], split.labels[chosen])
