"""Multiply-adds of layers of every kind, for the module whose code does them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.models.cost import count_macs, layer_macs, layer_work
from lowtide.models.operators import recurrent_flop

SHAPE = (8, 4, 4)  # 16 pixels


class Tokens(nn.Module):
    """Pixels as tokens [N, 16, 8] for a layer that takes them."""

    def __init__(self, layer: nn.Module, call: Callable[..., object]) -> None:
        super().__init__()
        self.layer, self.call = layer, call

    def forward(self, images: Tensor) -> object:
        return self.call(self.layer, images.flatten(2).transpose(1, 2))


def weights(layer: nn.Module) -> int:
    return sum(weight.numel() for weight in layer.parameters() if weight.ndim == 2)


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.Conv2d(8, 6, 3), 2 * 2 * 6 * 8 * 9),
        (nn.Conv2d(8, 12, 3, padding=1, groups=4), 16 * 12 * 2 * 9),
        (nn.ConvTranspose2d(8, 6, 3, stride=2), 16 * 8 * 6 * 9),  # each pixel meets each weight
        (nn.Sequential(nn.Flatten(2), nn.Conv1d(8, 6, 5)), 12 * 6 * 8 * 5),
        (nn.Sequential(nn.Flatten(), nn.Linear(128, 5)), 128 * 5),
    ],
)
def test_layers_on_pixels(layer: nn.Module, macs: int) -> None:
    assert count_macs(layer, SHAPE) == macs


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("two_ways", [False, True])
def test_recurrent_layers_meet_each_weight_once_for_each_token(
    kind: type[nn.RNNBase], two_ways: bool
) -> None:
    layer = kind(8, 6, num_layers=2, bidirectional=two_ways, batch_first=True)
    model = Tokens(layer, lambda layer, tokens: layer(tokens)[0])
    assert layer_macs(model, SHAPE) == {"layer": 16 * weights(layer)}


def test_a_recurrent_layer_counts_the_same_in_one_kernel_of_cudnn() -> None:
    layer = nn.LSTM(8, 6, num_layers=2)
    found = recurrent_flop(torch.zeros(16, 1, 8), [*layer.parameters()], 4, None)
    assert found == 2 * 16 * weights(layer)


PROJECTIONS, SCORES = 16 * 4 * 8 * 8, 2 * 16 * 16 * 8  # of 16 tokens of width 8


@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_counts_by_its_projections_and_its_scores(need_weights: bool) -> None:
    model = Tokens(
        nn.MultiheadAttention(8, 2, batch_first=True),
        lambda layer, x: layer(x, x, x, need_weights=need_weights)[0],
    )
    assert layer_macs(model, SHAPE) == {"layer": PROJECTIONS + SCORES}


def test_the_fast_path_of_an_encoder_hides_nothing() -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, 24, batch_first=True)
    model = Tokens(encoder, lambda layer, x: layer(x))
    assert count_macs(model, SHAPE) == PROJECTIONS + SCORES + 16 * 2 * 8 * 24
    assert torch.backends.mha.get_fastpath_enabled()


VECTOR = torch.rand(8)


@pytest.mark.parametrize(
    ("multiply", "macs"),
    [
        (lambda tokens: tokens[0] @ VECTOR, 16 * 8),
        (lambda tokens: torch.addmv(torch.ones(16), tokens[0], VECTOR), 16 * 8),
        (lambda tokens: tokens[0, 0] @ VECTOR, 8),
    ],
    ids=["mv", "addmv", "dot"],
)
def test_products_with_a_vector_count(multiply: Callable[[Tensor], Tensor], macs: int) -> None:
    assert count_macs(Tokens(nn.Identity(), lambda _, tokens: multiply(tokens)), SHAPE) == macs


def test_a_bilinear_layer_meets_each_weight_once_for_each_pair() -> None:
    model = Tokens(nn.Bilinear(8, 8, 5), lambda layer, tokens: layer(tokens, tokens))
    assert layer_macs(model, SHAPE) == {"layer": 16 * 5 * 8 * 8}


class Own(nn.Module):
    """Attention of one's own, and a bare parameter that gives the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)
        self.classes = nn.Parameter(torch.rand(8, 4))

    def forward(self, images: Tensor) -> Tensor:
        q, k, v = self.qkv(images.flatten(2).transpose(1, 2)).chunk(3, dim=-1)
        return self.proj(F.scaled_dot_product_attention(q, k, v)).mean(1) @ self.classes  # type: ignore[no-any-return]


def test_products_are_of_the_module_whose_code_multiplies() -> None:
    model = nn.Sequential(Own(), nn.Linear(4, 3)).train()
    found = layer_macs(model, SHAPE)
    assert found == {
        "0.qkv": 16 * 8 * 24, "0": SCORES + 8 * 4, "0.proj": 16 * 8 * 8, "1": 4 * 3,
    }  # fmt: skip
    assert [*found] == ["0.qkv", "0", "0.proj", "1"]  # as they are first used
    assert model[0].training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_heads_are_those_that_a_modules_own_code_multiplies() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    model = Tokens(layer, lambda layer, x: layer(x, x, x)[0])
    assert layer_work(model, SHAPE)[1] == {"layer": 2}
    assert layer_work(Own(), SHAPE)[1] == {}  # one
    assert layer_work(nn.Conv2d(8, 4, 3), SHAPE)[1] == {}
