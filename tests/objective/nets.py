"""Small networks of the kinds that people bring, each for images of shape [3, 8, 8]."""

import torch
from torch import Tensor, nn

from lowtide.models.factory import ModelSpec, build

SHAPE = (3, 8, 8)
COST = {"conv3x3": 1e-9, "conv1x1": 3e-9, "grouped conv3x3": 5e-9, "linear": 2e-9}
COST |= {"products": 2e-9, "convtranspose2d": 4e-9, "conv1d": 3e-9}


class Depthwise(nn.Module):
    """A depthwise and a pointwise convolution, as in MobileNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.depth = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16)
        )
        self.point = nn.Sequential(nn.Conv2d(16, 24, 1, bias=False), nn.BatchNorm2d(24))
        self.head = nn.Linear(24, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.point(self.depth(self.stem(images).relu()).relu()).relu()
        return self.head(features.mean((2, 3)))  # type: ignore[no-any-return]


class Grouped(nn.Module):
    """Grouped convolutions in a bottleneck, as in ResNeXt, and on the residual stream itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.reduce = nn.Sequential(nn.Conv2d(16, 24, 1, bias=False), nn.BatchNorm2d(24))
        self.group = nn.Sequential(
            nn.Conv2d(24, 48, 3, padding=1, groups=3, bias=False), nn.BatchNorm2d(48)
        )
        self.expand = nn.Sequential(nn.Conv2d(48, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.last = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(16)
        )
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        stream = self.stem(images).relu()
        inner = self.group(self.reduce(stream).relu()).relu()
        stream = (stream + self.expand(inner)).relu()
        stream = (stream + self.last(stream)).relu()
        return self.head(stream.mean((2, 3)))  # type: ignore[no-any-return]


class Added(nn.Module):
    """A convolution with a norm, to which one is added: with a norm, too, or without."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.body = nn.Conv2d(16, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16) if norm else nn.Identity()
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images).relu()
        features = (features + self.norm(self.body(features))).relu()
        return self.head(features.mean((2, 3)))  # type: ignore[no-any-return]


class HeadFirst(nn.Module):
    """Its last layer is the first that it defines."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.stem = nn.Linear(16, 4), nn.Conv2d(3, 16, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stem(images).relu().mean((2, 3)))  # type: ignore[no-any-return]


class Auxiliary(nn.Module):
    """A second head, of early features, is computed last and kept aside."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 24, 3)
        self.head, self.second = nn.Linear(24, 4), nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images).relu()
        logits = self.head(self.body(features).relu().mean((2, 3)))
        self.aside = self.second(features.mean((2, 3)))
        return logits  # type: ignore[no-any-return]


class Reused(nn.Module):
    """Its last layer is one that it has used before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, 16, 3), nn.Linear(16, 16)
        self.head = nn.Linear(16, 16)

    def forward(self, images: Tensor) -> Tensor:
        features = self.head(self.stem(images).relu().mean((2, 3))).relu()
        return self.head(self.body(features).relu())  # type: ignore[no-any-return]


class TwoHeads(nn.Module):
    """Its outputs are those of two layers, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.left, self.right = nn.Linear(16, 2), nn.Linear(16, 2)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images).relu().mean((2, 3))
        return torch.cat([self.left(features), self.right(features)], dim=1)


class Concatenated(nn.Module):
    """One convolution reads the channels of two, one of which is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 24, 3, padding=1)
        self.fuse, self.head = nn.Conv2d(40, 16, 1), nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images).relu()
        both = torch.cat([stem, self.wide(stem).relu()], dim=1)
        return self.head(self.fuse(both).relu().mean((2, 3)))  # type: ignore[no-any-return]


class Scaled(nn.Module):
    """Weights for each channel outside of norms: a PReLU, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.prelu = nn.Conv2d(3, 16, 3, padding=1), nn.PReLU(16)
        self.body, self.head = nn.Conv2d(16, 16, 1), nn.Linear(16, 4)
        self.scale = nn.Parameter(torch.rand(1, 16, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        features = self.prelu(self.stem(images))
        features = self.scale * self.body(features)
        return self.head(features.relu().mean((2, 3)))  # type: ignore[no-any-return]


class Tokens(nn.Module):
    """Linear layers on every pixel: channels come last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(3, 16), nn.Linear(16, 24), nn.Linear(24, 4)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(2).transpose(1, 2)
        return self.head(self.second(self.first(tokens).relu()).relu().mean(1))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """One projection to queries, keys and values; its code takes heads of any width."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.scale = 4, 8**-0.5
        self.first, self.qkv = nn.Linear(3, 16), nn.Linear(16, 96, bias=False)
        self.proj, self.head = nn.Linear(32, 16), nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.first(images.flatten(2).transpose(1, 2)).relu()
        parts = self.qkv(tokens).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        scores = (q @ k.transpose(-1, -2) * self.scale).softmax(-1)
        tokens = tokens + self.proj((scores @ v).transpose(1, 2).flatten(2))
        return self.head(tokens.mean(1))  # type: ignore[no-any-return]


def residual() -> nn.Module:
    return build(ModelSpec("tidenet-xs", 3, (8, 8), 4, (0.0,) * 3, (1.0,) * 3))


def hidden_linear() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(144, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 4),
    )  # fmt: skip


def plain() -> nn.Module:
    """No norm anywhere."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 24, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 4),
    )  # fmt: skip


def one_block(*middle: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), *middle, nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip


def logistic_regression() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4))


NETS = {
    "residual": residual,
    "depthwise": Depthwise,
    "hidden linear": hidden_linear,
    "plain": plain,
    "grouped": Grouped,
    "added": lambda: Added(norm=True),
    "head first": HeadFirst,
    "two heads": TwoHeads,
    "tokens": Tokens,
    "attention": Attention,
    "concatenated": Concatenated,
    "scaled": Scaled,
}


def made(name: str) -> nn.Module:
    """Trained-looking: the norms' weights and statistics are not what they start with."""
    torch.manual_seed(0)
    model = NETS[name]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return model.eval()


def images(count: int = 5) -> Tensor:
    return torch.randn((count, *SHAPE), generator=torch.Generator().manual_seed(1))
