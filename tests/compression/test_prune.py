"""Channels leave for good, and what depends on them follows."""

import copy
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor, nn

from lowtide.compression.eligible import eligible_groups
from lowtide.compression.prune import prune_channels
from lowtide.compression.ranking import Ranking, rank_channels
from lowtide.compression.rounding import Rounding
from lowtide.compression.sensitivity import Sensitivity
from lowtide.errors import ModelError
from lowtide.models.cost import count_macs, count_parameters
from lowtide.models.factory import Classifier
from lowtide.objective.closing import closed
from lowtide.params import Importance
from tests.compression.pruning import batches, cut, lessons
from tests.objective.nets import COST, NETS, SHAPE, Auxiliary, Reused, TwoHeads, made


class Mixed(nn.Module):
    """A user's own network: residual, depthwise and grouped convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.pointwise = nn.Conv2d(32, 32, 1)
        self.squeeze = nn.Conv2d(32, 16, 1)
        self.grouped = nn.Conv2d(16, 64, 3, padding=1, groups=4)
        self.head = nn.Linear(64, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem[0](images.float()).relu()
        features = features + self.pointwise(self.depthwise(features))
        return self.head(self.grouped(self.squeeze(features)).mean((2, 3)))  # type: ignore[no-any-return]


def test_the_network_is_smaller_and_still_runs(rig) -> None:  # type: ignore[no-untyped-def]
    before = count_macs(rig.model, (3, 16, 16))
    result = cut(rig.model, (3, 16, 16), macs_fraction=0.6, round_to=8)
    assert result.macs_before == before
    assert result.macs_after == count_macs(rig.model, (3, 16, 16)) <= 0.6 * before
    assert result.parameters_after == count_parameters(rig.model) < result.parameters_before
    assert result.channels
    assert all(after < channels for channels, after in result.channels.values())
    assert all(after % 8 == 0 for _, after in result.channels.values())
    assert result.not_pruned == {"net.head.2": "its outputs are the model's"}
    assert rig.model(torch.from_numpy(rig.images)).shape == (64, 4)


@pytest.mark.parametrize(
    ("model", "heads", "root"),
    [
        (Auxiliary(), ["head"], "body"),
        (Reused(), ["head"], "body"),
        (TwoHeads(), ["left", "right"], "stem"),
    ],
)
def test_layers_that_make_the_outputs_keep_them(
    model: nn.Module, heads: list[str], root: str
) -> None:
    """Where an auxiliary head is computed last, or a last layer is used before, too."""
    eligible = eligible_groups(model, SHAPE, 4)
    kept = [layer for layer, reason in eligible.not_pruned.items() if "model's" in reason]
    assert kept == heads
    assert [group.root for group in eligible.groups] == [root]


@pytest.mark.parametrize("fraction", [0.95, 0.8, 0.6])
def test_the_target_is_met_closely(rig, fraction: float) -> None:  # type: ignore[no-untyped-def]
    result = cut(rig.model, (3, 16, 16), macs_fraction=fraction, round_to=8)
    assert fraction - 0.04 < result.macs_after / result.macs_before <= fraction


@pytest.mark.parametrize("importance", ["l2", "taylor", "gates"])
@pytest.mark.parametrize("name", NETS)
def test_every_kind_of_network_is_cut_as_planned(name: str, importance: Importance) -> None:
    model = Classifier(made(name), (127.0,) * 3, (64.0,) * 3)
    result = cut(model, SHAPE, macs_fraction=0.7, round_to=2, importance=importance)
    assert 0.4 * result.macs_before < result.macs_after <= 0.7 * result.macs_before
    assert model(torch.zeros(5, *SHAPE)).shape == (5, 4)


def test_residual_depthwise_and_grouped_layers_are_cut() -> None:
    model = Mixed()
    result = cut(model, (3, 16, 16), macs_fraction=0.2, round_to=4)
    assert result.macs_after <= 0.2 * result.macs_before
    assert model.depthwise.groups == model.depthwise.in_channels < 32
    assert result.not_pruned.keys() == {"head"}
    assert result.channels.keys() >= {"squeeze", "grouped"}
    assert model.grouped.groups == 4  # as they were
    assert model.grouped.in_channels == model.squeeze.out_channels < 16
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 4)


@pytest.mark.parametrize("round_to", [1, 4])
def test_a_cut_grouped_network_says_what_it_said_with_the_channels_closed(round_to: int) -> None:
    model = Classifier(made("grouped"), (127.0,) * 3, (64.0,) * 3).eval()
    eligible, whole = eligible_groups(model, SHAPE, round_to), copy.deepcopy(model)
    ranking = rank_channels(model, SHAPE, eligible, "l2", lessons(SHAPE), batches(SHAPE))
    target = 0.2 * eligible.macs
    result = prune_channels(model, SHAPE, eligible, ranking, Rounding(round_to, None), target)
    assert result.channels.keys() >= {"net.reduce.0", "net.group.0", "net.last.0"}
    pixels = next(batches(SHAPE).epoch(0)).images
    with ExitStack() as stack:
        for group, score in zip(eligible.groups, ranking.scores, strict=True):
            left = result.channels.get(group.root, (0, group.num_channels))[1]
            leaving = group.in_turns(score)[: group.num_channels - left]
            stack.enter_context(closed(whole, group, leaving))
        assert torch.allclose(model(pixels), whole(pixels), atol=1e-5)


def test_a_strided_pointwise_convolution_keeps_the_inputs_that_its_training_needs() -> None:
    """With fewer oneDNN writes beyond its memory, and the process ends."""
    net = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 8, 1, 2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    model = Classifier(net, (127.0,) * 3, (64.0,) * 3)
    with pytest.raises(ModelError, match=r"net\.0 \(16 channels\)"):
        cut(model, SHAPE, macs_fraction=0.01, round_to=4)
    cut(model, SHAPE, macs_fraction=0.55, round_to=4)
    assert net[0].out_channels == 16
    model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    for batch in batches(SHAPE).epoch(0):
        nn.functional.cross_entropy(model(batch.images), batch.labels).backward()
    assert eligible_groups(model, SHAPE, 4).not_pruned["net.0"] == (
        "has 16 channels, and stays a multiple of 4 of at least 16"
    )


def test_channels_that_each_group_needs_are_no_reason_to_miss_the_target() -> None:
    """A notch is then a multiple of both; what is left of each group is more than one channel."""
    model = Mixed()
    eligible = eligible_groups(model, (3, 16, 16), 6)
    grouped = next(group for group in eligible.groups if group.root == "grouped")
    assert (grouped.notch(6), grouped.least(6), grouped.least(4)) == (12, 12, 8)
    assert "squeeze" in eligible_groups(model, (3, 16, 16), 16).not_pruned
    reason = eligible_groups(model, (3, 16, 16), 12).not_pruned
    assert "squeeze" not in reason
    with pytest.raises(ModelError, match=r"grouped \(8 channels\)|squeeze \(8 channels\)"):
        cut(model, (3, 16, 16), macs_fraction=0.01, round_to=4)


def test_what_matters_less_and_costs_more_goes_first() -> None:
    """Of two layers of like cost the insensitive one is cut; at like loss the dearer one."""
    for rises, cost, cut_first in (
        (({0.5: 1.0}, {0.5: 0.1}), {**COST, "conv3x3": 1.0}, "2"),
        (({0.5: 0.1}, {0.5: 1.0}), {**COST, "conv3x3": 1.0}, "0"),
    ):
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
        )  # fmt: skip
        eligible = eligible_groups(model, SHAPE, 4)
        known = {"0": rises[0], "2": rises[1]}
        sensitivity = [Sensitivity(g.root, 16, known[g.root]) for g in eligible.groups]
        ranking = Ranking("l2", [torch.ones(16) for _ in sensitivity], sensitivity, cost)
        result = prune_channels(
            model, SHAPE, eligible, ranking, Rounding(4, None), 0.8 * eligible.macs
        )
        assert result.channels.keys() == {cut_first}


def test_a_target_out_of_reach_says_how_far_it_got(rig) -> None:  # type: ignore[no-untyped-def]
    message = r"reached 0\.\d+ .*prune.macs_fraction asks for 0.01:.*most are left in net.*16 chan"
    with pytest.raises(ModelError, match=message):
        cut(rig.model, (3, 16, 16), macs_fraction=0.01, round_to=16)


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(ModelError, match="no convolution or linear layer"):
        cut(nn.Flatten(), (3, 16, 16), macs_fraction=0.5, round_to=8)


def test_a_model_that_can_lose_nothing_names_its_layers() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.Flatten(),
        nn.Linear(128, 4),
    )  # fmt: skip
    model = Classifier(net, (127.0,) * 3, (64.0,) * 3)
    message = (
        r"no layer can be pruned \(net.5: its outputs are the model's; net.0: net.1 norms each "
        r"channel by all of them; net.3: has 8 channels, and stays a multiple of 8\): set "
        r"prune.macs_fraction to 1.0"
    )
    with pytest.raises(ModelError, match=message):
        cut(model, SHAPE, macs_fraction=0.5, round_to=8)
    result = cut(model, SHAPE, macs_fraction=1.0, round_to=8)  # as the message says
    assert result.macs_after == result.macs_before
    assert result.channels == {}
    assert result.not_pruned.keys() == {"net.0", "net.3", "net.5"}


def test_where_every_layer_is_at_its_least_a_further_round_cuts_nothing() -> None:
    model = Classifier(made("plain"), (127.0,) * 3, (64.0,) * 3)
    eligible = eligible_groups(model, SHAPE, 32)
    assert eligible.groups == []
    ranking = rank_channels(model, SHAPE, eligible, "taylor", lessons(SHAPE), batches(SHAPE))
    rounding = Rounding(32, None)
    result = prune_channels(model, SHAPE, eligible, ranking, rounding, 0.5 * eligible.macs)
    assert result.macs_after == result.macs_before == eligible.macs
