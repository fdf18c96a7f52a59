"""TideNet: convolutional classifiers for images of 8x8 to 96x96 pixels.

Plain 3x3 convolutions in the order conv, batch norm, ReLU, pool, so that the norm folds into the
convolution on export; residual blocks behind the pool, where a multiply-add costs least accuracy.
The residual layout follows ResNet-9 (David Page, "How to train your ResNet", 2018).

A name says the architecture: `tidenet-24p2-32x1-64x1-128` has a stem of 24 channels on patches of
2x2 pixels, then stages of 32, 64 and 128 channels, the first two with one residual block each.
"""

import re
from dataclasses import dataclass

from torch import Tensor, nn

PREFIX = "tidenet-"
SMALLEST_TO_POOL = 4  # pixels of a side
STEM_POOLS_AT = 64


@dataclass(frozen=True)
class Stage:
    width: int
    blocks: int  # residual ones, of two convolutions each


@dataclass(frozen=True)
class TideNetConfig:
    stem: int
    patch: int  # pixels of a side that the stem strides over
    stages: tuple[Stage, ...]

    @property
    def name(self) -> str:
        patch = "" if self.patch == 1 else f"p{self.patch}"
        stages = (f"{s.width}x{s.blocks}" if s.blocks else f"{s.width}" for s in self.stages)
        return f"{PREFIX}{self.stem}{patch}-{'-'.join(stages)}"


NAMED = {
    "tidenet-xs": "tidenet-16-16-32x1-64x1",
    "tidenet-s": "tidenet-16-32-64x1-128x1",
    "tidenet-m": "tidenet-16-48-96x1-192x1",
    "tidenet-l": "tidenet-32-64-128x1-256x1",
}
NAME = re.compile(r"tidenet-(\d+)(?:p(\d+))?((?:-\d+(?:x\d+)?)+)")


def config_of(name: str) -> TideNetConfig | None:
    """None where the name is not one of the family."""
    found = NAME.fullmatch(NAMED.get(name, name))
    if found is None:
        return None
    stem, patch, rest = found.groups()
    stages = tuple(
        Stage(int(width), int(blocks or 0))
        for width, _, blocks in (part.partition("x") for part in rest[1:].split("-"))
    )
    config = TideNetConfig(int(stem), int(patch or 1), stages)
    widths = (config.stem, config.patch, *(stage.width for stage in stages))
    return config if min(widths) >= 1 else None


class ConvBlock(nn.Sequential):
    """Patches of 1 pixel: a 3x3 convolution; of P: one of 2P x 2P that strides over P pixels."""

    def __init__(self, in_channels: int, out_channels: int, pool: bool, patch: int = 1) -> None:
        kernel, padding = (3, 1) if patch == 1 else (2 * patch, patch // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, patch, padding, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            *([nn.MaxPool2d(2)] if pool else []),
        )


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvBlock(channels, channels, pool=False), ConvBlock(channels, channels, pool=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        return features + self.body(features)  # type: ignore[no-any-return]


class TideNet(nn.Module):
    """Normalised images [N, in_channels, H, W] -> logits [N, num_classes]."""

    def __init__(
        self,
        config: TideNetConfig,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
    ) -> None:
        super().__init__()
        side = min(image_size) // config.patch
        pool = side >= STEM_POOLS_AT
        blocks: list[nn.Module] = [ConvBlock(in_channels, config.stem, pool, config.patch)]
        side, channels = side // 2 if pool else side, config.stem
        for stage in config.stages:
            pool = side >= SMALLEST_TO_POOL
            blocks.append(ConvBlock(channels, stage.width, pool))
            blocks += [Residual(stage.width) for _ in range(stage.blocks)]
            side, channels = side // 2 if pool else side, stage.width
        self.features = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))  # type: ignore[no-any-return]
