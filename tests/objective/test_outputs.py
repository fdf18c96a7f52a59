"""The layers that make the outputs are found wherever they are and whatever follows them."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.objective.outputs import output_layers, products
from tests.objective.nets import SHAPE, Auxiliary, Reused, TwoHeads, made, plain


class After(nn.Module):
    """What a network says is changed afterwards, also in place, without another product."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.norm = net, nn.BatchNorm1d(4)
        self.temperature = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.norm(self.net(images).relu_().unsqueeze(1).squeeze(1))
        return (logits / self.temperature).softmax(dim=1)  # type: ignore[no-any-return]


class Prototypes(nn.Module):
    """Classes are bare parameters that a layer's outputs are multiplied by."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.embed, self.classes = nn.Linear(192, 32), nn.Parameter(torch.randn(shape))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images.flatten(1)).unflatten(1, (4, 8))
        return F.linear(tokens, self.classes).mean(1)


class Pixels(nn.Module):
    """The last layer's outputs are averaged over pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).relu()).mean((2, 3))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.first, self.layer = nn.Linear(3, 8), layer

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(self.first(images.flatten(2).transpose(1, 2)))[0][:, -1]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (plain(), ["6"]),
        (made("residual"), ["net.head.2"]),
        (Auxiliary(), ["head"]),
        (Reused(), ["head"]),
        (TwoHeads(), ["left", "right"]),
        (Pixels(), ["head"]),
        (After(plain()), ["net.6"]),
        (After(Auxiliary()), ["net.head"]),
        (Prototypes(4, 8), [""]),
        (Prototypes(8), [""]),
        (Recurrent(nn.LSTM(8, 4, batch_first=True)), ["layer"]),
        (nn.Flatten(), []),
    ],
)
def test_layers_of_the_outputs(model: nn.Module, layers: list[str]) -> None:
    assert output_layers(model, SHAPE) == layers


def test_products_are_told_use_by_use() -> None:
    found = products(Reused(), SHAPE)
    assert found == [("stem", False), ("head", False), ("body", False), ("head", True)]


def test_outputs_that_no_gradient_reaches_are_of_no_layer() -> None:
    head = plain()
    head.register_forward_hook(lambda _module, _inputs, logits: logits.detach())
    assert output_layers(head, SHAPE) == []


def test_looking_changes_nothing() -> None:
    """Neither modes nor what the model keeps aside, which can be copied as before."""
    model = Auxiliary().train()
    model.stem.eval()
    output_layers(model, SHAPE)
    assert model.training
    assert not model.stem.training
    assert not hasattr(model, "aside")
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
    deepcopy(model)
