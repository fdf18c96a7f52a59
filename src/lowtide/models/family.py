"""TideNet: convolutional classifiers for images of 8x8 to 96x96 pixels.

Plain 3x3 convolutions in the order conv, batch norm, ReLU, pool, so that the norm folds into the
convolution on export; two residual blocks; channels in multiples of 16, which int8 kernels like.
The residual layout follows ResNet-9 (David Page, "How to train your ResNet", 2018).
"""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class TideNetConfig:
    stem: int
    widths: tuple[int, int, int]


FAMILY = {
    "tidenet-xs": TideNetConfig(16, (16, 32, 64)),
    "tidenet-s": TideNetConfig(16, (32, 64, 128)),
    "tidenet-m": TideNetConfig(16, (48, 96, 192)),
    "tidenet-l": TideNetConfig(32, (64, 128, 256)),
}


class ConvBlock(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int, pool: bool) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
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
        side = min(image_size)
        blocks: list[nn.Module] = []
        channels = in_channels
        for index, width in enumerate((config.stem, *config.widths)):
            pool = side >= 64 if index == 0 else side >= 4
            side = side // 2 if pool else side
            blocks.append(ConvBlock(channels, width, pool))
            if index >= 2:
                blocks.append(Residual(width))
            channels = width
        self.features = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))  # type: ignore[no-any-return]
