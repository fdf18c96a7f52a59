"""What a multiply-add costs is measured for every kind of layer that the model has."""

import pytest
import torch

from lowtide.objective.calibration import seconds_per_mac
from lowtide.objective.groups import find_groups, layer_costs
from tests.objective.nets import NETS, SHAPE, images, made


@pytest.mark.parametrize("name", NETS)
def test_every_kind_has_a_positive_figure(name: str) -> None:
    model = made(name)
    found = seconds_per_mac(model, images())
    groups, _ = find_groups(model, SHAPE)
    assert found.keys() == {cost.kind for cost in layer_costs(model, SHAPE, groups)}
    assert all(0 < seconds < 1e-3 for seconds in found.values())


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = made("residual").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seconds_per_mac(model, images())
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
