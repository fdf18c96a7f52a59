"""How noisy the gradient is, in images: beyond this batch size larger batches teach little more.

The simple noise scale tr(S) / |G|^2 of McCandlish et al., "An Empirical Model of Large-Batch
Training" (2018), from the squared gradient norms of a half and of the whole of the same batch.
"""

from dataclasses import dataclass
from math import isfinite

DECAY = 0.9  # of the running means of numerator and denominator, which are averaged apart


@dataclass
class NoiseScale:
    """Running estimate; `images` is None until it is known to be positive."""

    spread: float = 0.0  # tr(S)
    signal: float = 0.0  # |G|^2
    num_measured: int = 0

    def measure(self, half_norm2: float, whole_norm2: float, batch_size: int) -> None:
        """|g|^2 of the gradient of half a batch and of the whole of `batch_size` images.

        A gradient that overflowed says nothing, and would stay in the means for good.
        """
        if not (isfinite(half_norm2) and isfinite(whole_norm2)):
            return
        half = batch_size / 2
        spread = (half_norm2 - whole_norm2) / (1 / half - 1 / batch_size)
        signal = (batch_size * whole_norm2 - half * half_norm2) / (batch_size - half)
        self.num_measured += 1
        weight = max(1 / self.num_measured, 1 - DECAY)
        self.spread += weight * (spread - self.spread)
        self.signal += weight * (signal - self.signal)

    @property
    def images(self) -> float | None:
        if self.num_measured == 0 or self.spread <= 0 or self.signal <= 0:
            return None
        return self.spread / self.signal


def gain(noise_images: float, batch_size: int, base_size: int) -> float:
    """Steps of the base batch that one step of this batch is worth, and by how much its rate rises.

    AdaScale (Johnson et al., ICML 2020): (noise + base) / (noise / scale + base), written with the
    noise scale; between 1 and batch / base for larger batches.
    """
    scale = batch_size / base_size
    return (noise_images / base_size + 1) / (noise_images / base_size / scale + 1)
