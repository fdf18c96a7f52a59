"""A closed channel leaves without trace, or its layer is left alone."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.objective.exactness import inexact_groups
from lowtide.objective.gates import Gates
from lowtide.objective.groups import ChannelGroup, find_groups
from lowtide.objective.learning import GateLearning
from tests.objective import nets
from tests.objective.nets import COST, NETS, SHAPE, made


@pytest.mark.parametrize("name", NETS)
def test_networks_with_relus_can_lose_any_channel(name: str) -> None:
    torch.manual_seed(0)
    model = made(name)
    assert inexact_groups(model, SHAPE, find_groups(model, SHAPE)[0]) == frozenset()


@pytest.fixture
def mixed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Sigmoid(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip


def test_what_a_sigmoid_follows_is_left_alone(mixed: nn.Module) -> None:
    groups = find_groups(mixed, SHAPE)[0]
    assert {group.root for group in groups} == {"0", "2"}
    before = [p.clone() for p in mixed.parameters()]
    assert inexact_groups(mixed, SHAPE, groups) == {"2"}
    assert all(torch.equal(a, b) for a, b in zip(before, mixed.parameters(), strict=True))
    assert mixed.training
    assert not any(module._forward_hooks for module in mixed.modules())


def test_a_group_of_the_outputs_is_left_alone() -> None:
    """Without a channel they have another shape."""
    head = ChannelGroup("6", 4, ("6",), ("6",), {}, 1, 1)
    assert inexact_groups(nets.plain(), SHAPE, [head]) == {"6"}


class AsideInTraining(nets.Auxiliary):
    """Whose second head no graph of the model in evaluation shows."""

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images).relu()
        if self.training:
            self.aside = self.second(features.mean((2, 3)))
        return self.head(self.body(features).relu().mean((2, 3)))  # type: ignore[no-any-return]


def test_what_is_read_in_training_alone_is_left_alone() -> None:
    model = AsideInTraining()
    groups = find_groups(model, SHAPE)[0]
    assert {group.root for group in groups} == {"stem", "body"}
    assert inexact_groups(model, SHAPE, groups) == {"stem"}


class OwnScale(nets.Attention):
    """Its scores are divided by the root of the width that they happen to have."""

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.first(images.flatten(2).transpose(1, 2))
        parts = self.qkv(tokens).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        values = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head(self.proj(values).relu().mean(1))  # type: ignore[no-any-return]


class FixedWidth(OwnScale):
    def forward(self, images: Tensor) -> Tensor:
        tokens = self.first(images.flatten(2).transpose(1, 2))
        q, k, v = self.qkv(tokens).view(len(images), -1, 3, self.heads, 8).unbind(2)
        values = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), scale=0.3)
        return self.head(self.proj(values.transpose(1, 2).flatten(2)).relu().mean(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [OwnScale, FixedWidth])
def test_attention_that_counts_on_a_width_is_left_alone(kind: type[nn.Module]) -> None:
    """Even where it has learnt nothing yet, and its scores are near 0 at any scale."""
    model = kind()
    nn.init.normal_(model.get_parameter("qkv.weight"), std=1e-3)
    groups = find_groups(model, SHAPE)[0]
    assert "qkv" in {group.root for group in groups}
    assert inexact_groups(model, SHAPE, groups) == {"qkv"}


def test_gates_are_put_on_the_others(mixed: nn.Module) -> None:
    learning = GateLearning(mixed, SHAPE, COST, num_steps=10)
    assert learning.inexact == {"2"}
    assert [group.root for group in learning.gates.groups] == ["0"]


def test_the_energy_of_layers_without_gates_still_counts(mixed: nn.Module) -> None:
    every, some = (Gates(mixed, SHAPE, COST, without=names) for names in (set(), {"2"}))
    assert some.reference_j == every.reference_j
    assert some.energy_share() > every.energy_share()
