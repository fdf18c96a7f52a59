"""Channels whose gates have closed leave for good: the steps that follow cost less."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import nn

from lowtide.objective.groups import ChannelGroup, dependency_graph


@dataclass(frozen=True)
class Removed:
    root: str
    before: int
    after: int


def least_important(logits: torch.Tensor, num_closed: int, round_to: int) -> list[int]:
    """The channels with the lowest gates: as many closed ones as leave a multiple of `round_to`."""
    size = len(logits)
    kept = min(max(ceil((size - num_closed) / round_to), 1) * round_to, size)
    order = torch.argsort(logits, stable=True)
    return sorted(order[: size - kept].tolist())


def remove_channels(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    groups: Sequence[ChannelGroup],
    leaving: Sequence[Sequence[int]],
    optimizer: torch.optim.Optimizer,
) -> list[Removed]:
    """Take the channels out of the model, in place; the momentum of what stays is left in `.grad`.

    The model's parameters are new objects afterwards: the caller makes a new optimizer and hands
    it the momentum with `adopt_momentum`.
    """
    for parameter in model.parameters():  # pruned along with the parameter
        parameter.grad = optimizer.state[parameter].get("momentum_buffer")
    return take_out(model, input_shape, groups, leaving)


def take_out(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    groups: Sequence[ChannelGroup],
    leaving: Sequence[Sequence[int]],
) -> list[Removed]:
    """The channels leave the model, in place; its parameters are new objects afterwards."""
    graph = dependency_graph(model, input_shape)
    removed: list[Removed] = []
    for group, channels in zip(groups, leaving, strict=True):
        if not channels:
            continue
        pruning_group(graph, model, group, channels).prune()
        removed.append(Removed(group.root, group.num_channels, group.num_channels - len(channels)))
    return removed


def pruning_group(
    graph: Any, model: nn.Module, group: ChannelGroup, channels: Sequence[int]
) -> Any:
    """What leaves with these channels, for torch-pruning to `prune`."""
    import torch_pruning

    layer = model.get_submodule(group.root)
    prune = (
        torch_pruning.prune_conv_out_channels
        if isinstance(layer, nn.Conv2d)
        else torch_pruning.prune_linear_out_channels
    )
    return graph.get_pruning_group(layer, prune, list(channels))


def adopt_momentum(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Take what `remove_channels` left in `.grad` as momentum."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            optimizer.state[parameter]["momentum_buffer"] = parameter.grad
            parameter.grad = None
