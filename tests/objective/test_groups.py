"""Which channels hang together, and what a layer costs by them."""

import pytest
import torch
from torch import Tensor, nn

from lowtide.errors import ModelError
from lowtide.models.cost import count_macs
from lowtide.objective.gates import Gates
from lowtide.objective.groups import find_groups, layer_costs
from lowtide.objective.layers import UNSEEN, layer_kind
from lowtide.objective.outputs import output_layers
from lowtide.objective.removal import take_out
from tests.objective.nets import COST, NETS, SHAPE, images, made


def test_a_residual_block_shares_the_channels_that_it_is_added_to() -> None:
    groups, refused = find_groups(made("residual"), SHAPE)
    assert refused == {}
    stream = next(group for group in groups if "net.features.2.0" in group.written)
    assert set(stream.written) == {"net.features.2.0", "net.features.3.body.1.0"}
    assert set(stream.gated) == {"net.features.2.1", "net.features.3.body.1.1"}
    assert set(stream.read) == {"net.features.3.body.0.0", "net.features.4.0"}
    assert stream.num_channels == 32
    inner = next(group for group in groups if group.root == "net.features.3.body.0.0")
    assert inner.gated == ("net.features.3.body.0.1",)


def test_a_layer_without_a_norm_is_gated_itself() -> None:
    groups, _ = find_groups(made("plain"), SHAPE)
    assert {group.root: group.gated for group in groups} == {"0": ("0",), "2": ("2",)}


@pytest.mark.parametrize("name", NETS)
def test_the_costs_of_the_layers_are_those_of_the_model(name: str) -> None:
    model = made(name)
    groups, _ = find_groups(model, SHAPE)
    costs = layer_costs(model, SHAPE, groups)
    assert sum(cost.macs for cost in costs) == count_macs(model, SHAPE)
    assert {cost.kind for cost in costs} <= COST.keys()
    last = output_layers(model, SHAPE)
    assert [cost.outputs for cost in costs if cost.name in last] == [None] * len(last)


def test_a_depthwise_layer_costs_by_its_channels_once_and_a_full_one_by_both_sides() -> None:
    model = made("depthwise")
    groups, _ = find_groups(model, SHAPE)
    by_name = {cost.name: cost for cost in layer_costs(model, SHAPE, groups)}
    depth, point = by_name["depth.0"], by_name["point.0"]
    assert depth.inputs == {}
    assert depth.outputs == by_name["stem.0"].outputs
    assert point.inputs == {depth.outputs: 1.0}
    added = made("added")  # its body reads and writes the same channels
    gates = Gates(added, SHAPE, dict.fromkeys(COST, 1.0))
    open_ = gates.open_probability()[0].mean().item()
    macs = {cost.name: cost.macs for cost in gates.costs}
    expected = macs["stem.0"] * open_ + macs["body"] * open_**2 + macs["head"] * open_
    assert gates.energy_share().item() == pytest.approx(expected / sum(macs.values()))


def test_kinds_of_layers() -> None:
    assert layer_kind(nn.Conv2d(8, 8, (1, 3))) == "conv1x3"
    assert layer_kind(nn.Conv2d(8, 8, 3, groups=8)) == "grouped conv3x3"
    assert layer_kind(nn.Linear(8, 8)) == "linear"
    assert layer_kind(nn.MultiheadAttention(8, 2)) == "attention"
    assert layer_kind(nn.Conv1d(8, 8, 3)) == "conv1d"
    assert layer_kind(Fused()) == "products"


def test_each_layer_that_keeps_its_channels_has_a_reason() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU(),
        nn.Conv2d(16, 4, 3, groups=4), nn.ReLU(), nn.Conv2d(4, 24, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 4),
    )  # fmt: skip
    groups, refused = find_groups(model, SHAPE)
    assert [group.root for group in groups] == ["7"]
    one_each = "5 is a grouped convolution with one output for each group"
    assert refused == {"0": "1 norms each channel by all of them", "3": one_each, "5": one_each}


def test_grouped_convolutions_need_as_many_channels_in_each_group() -> None:
    groups, refused = find_groups(made("grouped"), SHAPE)
    assert refused == {}
    by_root = {group.root: group for group in groups}
    assert {root: group.num_blocks for root, group in by_root.items()} == {
        "last.0": 2, "reduce.0": 3, "group.0": 3,
    }  # fmt: skip
    assert set(by_root["last.0"].written) == {"stem.0", "expand.0", "last.0"}
    inner = by_root["group.0"]
    assert (inner.notch(2), inner.notch(1), inner.least(1)) == (6, 3, 6)
    score = torch.arange(48.0).roll(16)  # the first block has the highest
    assert inner.in_turns(score)[:4] == [0, 16, 32, 1]


def test_each_head_of_attention_loses_as_many_queries_keys_and_values() -> None:
    model = made("attention")
    groups, refused = find_groups(model, SHAPE)
    assert refused == {}
    heads = next(group for group in groups if group.root == "qkv")
    assert (heads.num_channels, heads.num_blocks) == (32, 4)
    assert heads.read == {"proj": 1.0, "": 1.0}  # its scores cost by their width, too
    take_out(model, SHAPE, [heads], [[0, 9, 18, 27]])
    costs = layer_costs(model, SHAPE, [heads])
    assert {cost.name: cost.macs for cost in costs}["qkv"] == 64 * 16 * 3 * 28
    assert {cost.name: cost.macs for cost in costs}[""] == 2 * 64 * 64 * 28


class Fused(nn.Module):
    """A grouped convolution reads the channels of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.fuse, self.head = nn.Conv2d(32, 16, 1, groups=4), nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images).relu()
        both = torch.cat([stem, self.wide(stem).relu()], dim=1)
        return self.head(self.fuse(both).relu().mean((2, 3)))  # type: ignore[no-any-return]


def test_a_part_of_what_a_grouped_convolution_reads_cannot_leave_alone() -> None:
    groups, refused = find_groups(Fused(), SHAPE)
    assert [group.root for group in groups] == ["fuse"]
    reason = "fuse is a grouped convolution of other channels beside these"
    assert refused == {"stem": reason, "wide": reason}


class Recurrent(nn.Module):
    """Pixels of a convolution one after the other; a bare parameter gives the classes."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.stem, self.wide, self.layer = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 1), layer
        self.classes = nn.Parameter(torch.randn(8, 4))

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.wide(self.stem(images).relu()).flatten(2).transpose(1, 2)
        return self.layer(pixels)[0][:, -1] @ self.classes  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_layers_are_left_alone_and_named(kind: type[nn.RNNBase]) -> None:
    model = Recurrent(kind(8, 4, num_layers=2, bidirectional=True, batch_first=True)).train()
    groups, refused = find_groups(model, SHAPE)
    assert [group.root for group in groups] == ["stem"]
    reason = f"is recurrent ({kind.__name__}), and its channels are not followed"
    assert refused == {"wide": f"layer {reason}", "layer": reason}
    assert model.layer.training
    model(images()).sum().backward()  # it learns as it did
    assert model.get_parameter("layer.weight_ih_l0").grad is not None


def test_a_layer_that_reads_two_groups_costs_by_its_share_of_both() -> None:
    model = made("concatenated")
    groups, _ = find_groups(model, SHAPE)
    index = {group.root: k for k, group in enumerate(groups)}
    fuse = next(cost for cost in layer_costs(model, SHAPE, groups) if cost.name == "fuse")
    assert fuse.inputs == {index["stem"]: pytest.approx(0.4), index["wide"]: pytest.approx(0.6)}
    assert fuse.share(lambda k: 0.5 if k == index["wide"] else 1.0) == pytest.approx(0.7)


class Picky(nn.Module):
    """With features that no gradient passes; it takes no image alone."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.features, self.head, self.least = nn.Linear(192, 16), nn.Linear(16, 4), least

    def forward(self, images: Tensor) -> Tensor:
        if len(images) < self.least:
            raise ValueError("too few images")
        with torch.no_grad():
            features = self.features(images.flatten(1))
        return self.head(features)  # type: ignore[no-any-return]


def test_what_cannot_be_followed_is_refused() -> None:
    groups, refused = find_groups(Picky(least=1), SHAPE)
    assert groups == []
    assert refused == {"features": UNSEEN}
    with pytest.raises(ModelError, match=r"cannot follow the model .*ValueError: too few images"):
        find_groups(Picky(least=2), SHAPE)


def test_frozen_weights_are_followed_and_stay_frozen() -> None:
    model = made("residual").requires_grad_(False)
    assert find_groups(model, SHAPE)[0]
    assert not any(weight.requires_grad for weight in model.parameters())
