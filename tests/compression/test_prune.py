"""Channels leave for good, and what depends on them follows."""

import pytest
import torch
from torch import Tensor, nn

from lowtide.compression.prune import prune_channels
from lowtide.errors import ModelError
from lowtide.models.cost import count_macs, count_parameters


class Mixed(nn.Module):
    """A user's own network: residual, depthwise and grouped convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.pointwise = nn.Conv2d(32, 32, 1)
        self.grouped = nn.Conv2d(32, 64, 3, padding=1, groups=4)
        self.head = nn.Linear(64, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images.float())
        features = features + self.pointwise(self.depthwise(features))
        return self.head(self.grouped(features).mean((2, 3)))  # type: ignore[no-any-return]


def test_the_network_is_smaller_and_still_runs(rig) -> None:  # type: ignore[no-untyped-def]
    before = count_macs(rig.model, (3, 16, 16))
    result = prune_channels(rig.model, (3, 16, 16), macs_fraction=0.6, round_to=8)
    assert result.macs_before == before
    assert result.macs_after == count_macs(rig.model, (3, 16, 16)) <= 0.6 * before
    assert result.parameters_after == count_parameters(rig.model) < result.parameters_before
    assert result.channels
    assert all(after < channels for channels, after in result.channels.values())
    assert all(after % 8 == 0 for _, after in result.channels.values())
    assert rig.model(torch.from_numpy(rig.images)).shape == (64, 4)


@pytest.mark.parametrize("fraction", [0.95, 0.8, 0.6])
def test_the_target_is_met_closely(rig, fraction: float) -> None:  # type: ignore[no-untyped-def]
    result = prune_channels(rig.model, (3, 16, 16), macs_fraction=fraction, round_to=8)
    assert fraction - 0.15 < result.macs_after / result.macs_before <= fraction


def test_residual_depthwise_and_grouped_layers_are_understood() -> None:
    model = Mixed()
    result = prune_channels(model, (3, 16, 16), macs_fraction=0.7, round_to=4)
    assert result.macs_after <= 0.7 * result.macs_before
    assert model.depthwise.groups == model.depthwise.in_channels
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 4)


def test_a_target_out_of_reach_says_how_far_it_got(rig) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ModelError, match=r"reached \d+% .*prune.macs_fraction asks for 1%"):
        prune_channels(rig.model, (3, 16, 16), macs_fraction=0.01, round_to=16)


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(ModelError, match="no convolution or linear layer"):
        prune_channels(nn.Flatten(), (3, 16, 16), macs_fraction=0.5, round_to=8)  # type: ignore[arg-type]
