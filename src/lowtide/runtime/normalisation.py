"""What a file without preprocessing inside wants done to its images, as its metadata say it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from lowtide.errors import ArtifactError

PREPROCESSING, MEAN, STD = "lowtide.preprocessing", "lowtide.mean", "lowtide.std"
INSIDE = "uint8 NCHW, 0..255; normalisation is inside the graph"
OUTSIDE = (
    f"float32 NCHW: by channel (pixel - {MEAN}) / {STD}, pixels 0..255 and not scaled before; "
    f"{MEAN} and {STD} are JSON lists in this file's metadata"
)


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of the pixels 0..255, by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """None where the graph normalises by itself, or where the file does not say.

        Raises:
            ArtifactError: it says something else than a number for each channel.
        """
        if MEAN not in metadata or STD not in metadata:
            return None
        try:
            mean, std = (tuple(map(float, json.loads(metadata[name]))) for name in (MEAN, STD))
        except (TypeError, ValueError):
            raise ArtifactError(
                f"{MEAN} and {STD} in the file's metadata are not lists of numbers: export it again"
            ) from None
        return cls(mean, std)

    def metadata(self) -> dict[str, str]:
        return {
            PREPROCESSING: OUTSIDE,
            MEAN: json.dumps(list(self.mean)),
            STD: json.dumps(list(self.std)),
        }

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, C, H, W] -> float32 of the same shape."""
        mean, std = _by_channel(self.mean), _by_channel(self.std)
        normalised: np.ndarray = (images.astype(np.float32) - mean) / std
        return normalised


def _by_channel(values: Sequence[float]) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, -1, 1, 1)
