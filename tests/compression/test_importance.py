"""Scores tell which channels the network would miss."""

import copy

import pytest
import torch
from torch import nn

from lowtide.compression.importance import Lessons, channel_scores
from lowtide.data.batches import Batch
from lowtide.errors import ModelError
from lowtide.models.factory import Classifier
from lowtide.objective.closing import closed
from lowtide.objective.groups import ChannelGroup, find_groups
from lowtide.params import Importance
from tests.compression.pruning import batches, lessons, loss
from tests.objective.nets import NETS, SHAPE, made

BY_ONE = batches(SHAPE).resized(1)
SILENT = (1, 6)  # channels that are made to say nothing


def network(name: str) -> Classifier:
    return Classifier(made(name), (127.0,) * 3, (64.0,) * 3).eval()


@pytest.mark.parametrize("importance", ["l2", "taylor", "gates", "bn-scale"])
def test_channels_that_say_nothing_matter_least(importance: Importance) -> None:
    model = network("residual")
    groups, _ = find_groups(model, SHAPE)
    group = next(group for group in groups if len(group.gated) == 1)
    for name in group.gated:
        for weight in model.get_submodule(name).parameters(recurse=False):
            weight.data[[*SILENT]] = 0.0
    for name in group.read:  # the weights that read them, too: l2 looks at both sides
        model.get_parameter(f"{name}.weight").data[:, [*SILENT]] = 0.0
    (score,) = channel_scores(model, SHAPE, [group], importance, lessons(SHAPE, 40))
    assert len(score) == group.num_channels
    assert (score >= 0).all()
    assert score[[*SILENT]].max() <= score.median() < score.max()


@pytest.mark.parametrize("name", [name for name in NETS if name != "added"])
def test_first_order_is_the_slope_of_an_images_loss_as_a_channel_fades(name: str) -> None:
    """Against central differences of a factor on the weights that give it."""
    model, one = network(name).double(), Lessons(batches(SHAPE).resized(1), loss, 1)
    groups, _ = find_groups(model, SHAPE)
    alone = [group for group in groups if len(group.gated) == 1]
    scores = channel_scores(model, SHAPE, alone, "taylor", one)
    batch = next(iter(one))
    for group, score in zip(alone, scores, strict=True):
        rise = faded(model, group, batch, 1 + 1e-4) - faded(model, group, batch, 1 - 1e-4)
        assert score[0].item() == pytest.approx(abs(rise) / 2e-4, rel=1e-3, abs=1e-6)


def faded(model: nn.Module, group: ChannelGroup, batch: Batch, factor: float) -> float:
    """The loss with what gives the group's first channel multiplied."""
    scaled = copy.deepcopy(model)
    for name in group.gated:
        for weight in scaled.get_submodule(name).parameters(recurse=False):
            weight.data[0 :: group.num_channels] *= factor  # query, key and value go together
    return loss(batch, scaled(batch.images)).item()


def test_l2_is_of_the_weights_that_come_and_go_with_a_channel() -> None:
    """By hand, where each group of a convolution reads channels of its own."""
    one, other = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 8, 1, groups=2)
    model = nn.Sequential(one, other, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    group = next(group for group in find_groups(model, SHAPE)[0] if group.root == "0")
    (score,) = channel_scores(model, SHAPE, [group], "l2", lessons(SHAPE))
    for k in range(6):
        reading = other.weight[:4, k] if k < 3 else other.weight[4:, k - 3]
        expected = (one.weight[k].square().sum() + reading.square().sum()) / 2
        assert score[k].item() == pytest.approx(expected.item())


def test_slopes_of_images_do_not_cancel() -> None:
    """Two images that pull at a channel in opposite ways make it matter, not the contrary."""
    model = network("plain")
    groups, _ = find_groups(model, SHAPE)
    singly = channel_scores(model, SHAPE, groups, "taylor", Lessons(BY_ONE, loss, 32))
    at_once = channel_scores(model, SHAPE, groups, "taylor", Lessons(batches(SHAPE), loss, 2))
    for one, other in zip(singly, at_once, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-6)


def test_the_model_stays_as_it_is() -> None:
    model = network("depthwise").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    groups, _ = find_groups(model, SHAPE)
    for importance in ("l2", "taylor", "gates", "bn-scale"):
        channel_scores(model, SHAPE, groups, importance, lessons(SHAPE))  # type: ignore[arg-type]
    assert model.training
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_layer_without_a_norm_is_named_where_norms_are_gone_by() -> None:
    model = network("plain")
    groups, _ = find_groups(model, SHAPE)
    with pytest.raises(ModelError, match=r"net\.\d has no batch norm.*take l2, taylor or gates"):
        channel_scores(model, SHAPE, groups, "bn-scale", lessons(SHAPE))


def test_closing_is_for_a_while() -> None:
    model, images = network("residual"), next(iter(lessons(SHAPE, 1))).images
    group = find_groups(model, SHAPE)[0][0]
    whole = model(images)
    with closed(model, group, [0, 3]):
        assert not torch.equal(model(images), whole)
    assert torch.equal(model(images), whole)
