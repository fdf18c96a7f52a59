"""Classifiers as torch users write them: nothing in here knows of lowtide."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, with a shortcut that is projected where the shape changes."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += shortcut
        return self.relu(out)  # type: ignore[no-any-return]


class ResNet(nn.Module):
    def __init__(self, in_channels: int, num_classes: int, groups: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(
            Bottleneck(16, 16, groups=groups), Bottleneck(64, 16, groups=groups)
        )
        self.layer2 = nn.Sequential(
            Bottleneck(64, 32, stride=2, groups=groups), Bottleneck(128, 32, groups=groups)
        )
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))  # type: ignore[no-any-return]


def conv_bn(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1):  # type: ignore[no-untyped-def]
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups,
                  bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )  # fmt: skip


class InvertedResidual(nn.Module):
    """Expand, depthwise, project without activation; a shortcut where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = in_channels * expand
        self.use_shortcut = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            conv_bn(in_channels, hidden, 1),
            conv_bn(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_shortcut else self.conv(x)  # type: ignore[no-any-return]


class MobileNet(nn.Module):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_bn(in_channels, 16, 3),
            InvertedResidual(16, 24, stride=2, expand=4),
            InvertedResidual(24, 24, stride=1, expand=4),
            InvertedResidual(24, 32, stride=2, expand=4),
            conv_bn(32, 96, 1),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(96, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Its own: one projection to queries, keys and values."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, dim))  # type: ignore[no-any-return]


class FlexibleAttention(nn.Module):
    """Its own: what a head's width is, is left to the weights, and the scale is that of the paper's
    model."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.to_qkv(x).chunk(3, dim=-1)
        q, k, v = (t.view(*x.shape[:2], self.heads, -1).transpose(1, 2) for t in parts)
        attention = (torch.matmul(q, k.transpose(-1, -2)) * self.scale).softmax(dim=-1)
        return self.to_out(torch.matmul(attention, v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class EncoderBlock(nn.Module):
    def __init__(
        self, dim: int, heads: int, mlp_dim: int, attention: type[nn.Module] = Attention
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class VisionTransformer(nn.Module):
    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        dim: int = 32,
        patch: int = 4,
    ) -> None:
        super().__init__()
        num_patches = (image_size[0] // patch) * (image_size[1] // patch)
        self.patch_embed = nn.Conv2d(in_channels, dim, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, num_patches + 1, dim) * 0.02)
        self.blocks = nn.Sequential(*(EncoderBlock(dim, 4, 4 * dim) for _ in range(2)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])  # type: ignore[no-any-return]


def resnet(in_channels: int, _: tuple[int, int], num_classes: int) -> nn.Module:
    return ResNet(in_channels, num_classes)


def resnext(in_channels: int, _: tuple[int, int], num_classes: int) -> nn.Module:
    return ResNet(in_channels, num_classes, groups=4)


def mobilenet(in_channels: int, _: tuple[int, int], num_classes: int) -> nn.Module:
    return MobileNet(in_channels, num_classes)


def vit(in_channels: int, image_size: tuple[int, int], num_classes: int) -> nn.Module:
    return VisionTransformer(in_channels, image_size, num_classes)


class FlexibleViT(VisionTransformer):
    def __init__(self, in_channels: int, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__(in_channels, image_size, num_classes)
        blocks = [EncoderBlock(32, 4, 32, FlexibleAttention) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks)


def flexible_vit(in_channels: int, image_size: tuple[int, int], num_classes: int) -> nn.Module:
    return FlexibleViT(in_channels, image_size, num_classes)


class EncoderViT(VisionTransformer):
    """With torch's own encoder, which may take a fast path around its layers in evaluation."""

    def __init__(self, in_channels: int, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__(in_channels, image_size, num_classes)
        layer = nn.TransformerEncoderLayer(32, 4, 128, activation="gelu", batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2)  # type: ignore[assignment]


def encoder_vit(in_channels: int, image_size: tuple[int, int], num_classes: int) -> nn.Module:
    return EncoderViT(in_channels, image_size, num_classes)
