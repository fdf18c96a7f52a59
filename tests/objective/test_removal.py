"""Channels leave for good: less to compute, the same answers, the momentum of the rest kept."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lowtide.models.cost import count_macs
from lowtide.objective.groups import find_groups
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


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=70), st.integers(0, 70), st.integers(1, 16))
def test_what_stays_is_a_multiple_and_what_leaves_is_closed(
    values: list[float], num_closed: int, round_to: int
) -> None:
    num_closed = min(num_closed, len(values))
    logits = torch.tensor(values)
    leaving = least_important(logits, num_closed, round_to)
    stay = [k for k in range(len(values)) if k not in leaving]
    assert len(leaving) <= num_closed
    assert len(stay) >= min(round_to, len(values))
    assert not leaving or len(stay) % round_to == 0
    assert len(stay) - round_to < max(len(values) - num_closed, 1)  # as few as that allows
    if leaving:
        assert max(logits[leaving]) <= min(logits[stay])


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
