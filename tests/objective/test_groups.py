"""Which channels hang together, and what a layer costs by them."""

import pytest
from torch import nn

from lowtide.models.cost import count_macs
from lowtide.objective.gates import Gates
from lowtide.objective.groups import find_groups, layer_costs, layer_kind
from tests.objective.nets import COST, NETS, SHAPE, made


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
    assert costs[-1].outputs is None  # classes do not leave


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
