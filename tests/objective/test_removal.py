"""Channels leave for good: less to compute, the same answers, the momentum of the rest kept."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lowtide.models.cost import count_macs
from lowtide.objective.groups import ChannelGroup, find_groups
from lowtide.objective.removal import adopt_momentum, least_important, remove_channels
from tests.objective.nets import NETS, SHAPE, images, made

LABELS = torch.arange(5) % 4


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(model.train()(images()), LABELS)
    loss.backward()
    optimizer.step()
    return loss.item()


@st.composite
def blocks(draw: st.DrawFn) -> list[list[float]]:
    """Logits by block, of as many channels each."""
    size = draw(st.integers(1, 12))
    block = st.lists(st.floats(-5, 5), min_size=size, max_size=size)
    return draw(st.lists(block, min_size=1, max_size=6))


@given(blocks(), st.integers(0, 12), st.integers(1, 16))
def test_what_stays_is_a_multiple_and_what_leaves_is_closed(
    values: list[list[float]], num_closed: int, round_to: int
) -> None:
    num_blocks, size = len(values), len(values[0])
    at_least = num_blocks + 1 if num_blocks > 1 else 1
    group = ChannelGroup(
        "layer", num_blocks * size, ("layer",), ("layer",), {}, num_blocks, at_least
    )
    num_closed = min(num_closed, size)  # of each block
    logits = torch.tensor(values)
    leaving = least_important(group, logits.flatten(), num_blocks * num_closed, round_to)
    stay = [k for k in range(group.num_channels) if k not in leaving]
    notch, least = group.notch(round_to), group.least(round_to)
    assert notch % round_to == notch % num_blocks == 0
    assert len(leaving) <= num_blocks * num_closed
    assert len(stay) >= min(least, group.num_channels)
    assert not leaving or len(stay) % notch == 0
    as_few = max(group.num_channels - num_blocks * num_closed, 1)
    assert len(stay) == least or len(stay) - notch < as_few  # as few as that allows
    for block, of in enumerate(logits):
        gone = [k - block * size for k in leaving if k // size == block]
        kept = [k for k in range(size) if k not in gone]
        assert len(gone) == len(leaving) // num_blocks
        assert not gone or max(of[gone]) <= min(of[kept])


def test_each_group_of_a_convolution_loses_channels_of_its_own() -> None:
    """By hand: what is left reads and gives what it did, and its momentum went with it."""
    layer = nn.Conv2d(6, 8, 1, groups=2, bias=False)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), layer, nn.Flatten(), nn.Linear(512, 4))
    optimizer = sgd(model)
    train_step(model, optimizer)
    momentum = optimizer.state[layer.weight]["momentum_buffer"].clone()
    whole = layer.weight.detach().clone()
    groups, _ = find_groups(model, SHAPE)
    leaving = {"0": [0, 5], "1": [1, 2, 4, 7]}  # inputs, then outputs
    remove_channels(model, SHAPE, groups, [leaving[group.root] for group in groups], optimizer)
    assert (layer.in_channels, layer.out_channels, layer.groups) == (4, 4, 2)
    for now, before in ((layer.weight, whole), (layer.weight.grad, momentum)):
        assert now is not None
        assert torch.equal(now[:2], before[[0, 3]][:, [1, 2]])
        assert torch.equal(now[2:], before[[5, 6]][:, [0, 1]])


@pytest.mark.parametrize("name", NETS)
def test_training_goes_on_with_less_to_compute(name: str) -> None:
    model = made(name)
    optimizer = sgd(model)
    train_step(model, optimizer)
    before = count_macs(model, SHAPE)
    groups, _ = find_groups(model, SHAPE)
    leaving = [list(range(0, group.num_channels, 2)) for group in groups]
    removed = remove_channels(model, SHAPE, groups, leaving, optimizer)
    assert [(one.root, one.before, one.after) for one in removed] == [
        (group.root, group.num_channels, group.num_channels // 2) for group in groups
    ]
    assert count_macs(model, SHAPE) < 0.6 * before
    optimizer = sgd(model)
    adopt_momentum(model, optimizer)
    losses = [train_step(model, optimizer) for _ in range(3)]
    assert all(loss == loss and abs(loss) < 100 for loss in losses)
    assert len(optimizer.state) == len(list(model.parameters()))


def test_momentum_is_that_of_the_channels_that_stay() -> None:
    """By hand: the stem of a TideNet loses three of its sixteen channels."""
    model = made("residual")
    optimizer = sgd(model)
    for _ in range(3):
        train_step(model, optimizer)
    momentum = {
        name: optimizer.state[parameter]["momentum_buffer"].clone()
        for name, parameter in model.named_parameters()
    }
    weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    groups, _ = find_groups(model, SHAPE)
    leaving = [[1, 5, 6] if group.root == "net.features.0.0" else [] for group in groups]
    remove_channels(model, SHAPE, groups, leaving, optimizer)
    optimizer = sgd(model)
    adopt_momentum(model, optimizer)
    stay = [k for k in range(16) if k not in (1, 5, 6)]
    for name, parameter in model.named_parameters():
        part: tuple[object, ...] = ()
        if name.startswith("net.features.0."):
            part = (stay,)
        elif name == "net.features.1.0.weight":
            part = (slice(None), stay)
        assert torch.equal(parameter, weights[name][part]), name
        assert torch.equal(optimizer.state[parameter]["momentum_buffer"], momentum[name][part])
        assert parameter.grad is None


def test_an_optimizer_without_momentum_has_none_to_keep() -> None:
    model = made("plain")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    train_step(model, optimizer)
    groups, _ = find_groups(model, SHAPE)
    remove_channels(model, SHAPE, groups, [[0], [0]], optimizer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    adopt_momentum(model, optimizer)
    assert not optimizer.state
    assert torch.isfinite(torch.tensor(train_step(model, optimizer)))
