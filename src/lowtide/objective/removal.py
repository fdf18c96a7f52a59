"""Channels whose gates have closed leave for good: the steps that follow cost less."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import nn

from lowtide.objective.graph import dependency_graph
from lowtide.objective.groups import ChannelGroup
from lowtide.objective.layers import is_grouped


@dataclass(frozen=True)
class Removed:
    root: str
    before: int
    after: int


def least_important(
    group: ChannelGroup, logits: torch.Tensor, num_closed: int, round_to: int
) -> list[int]:
    """The channels with the lowest gates: as many closed ones as leave a multiple of `round_to`."""
    size, notch = group.num_channels, group.notch(round_to)
    kept = min(max(ceil((size - num_closed) / notch) * notch, group.least(round_to)), size)
    return sorted(group.in_turns(logits)[: size - kept])


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
        take_out_of_group(graph, model, group, channels)
        removed.append(Removed(group.root, group.num_channels, group.num_channels - len(channels)))
    return removed


def take_out_of_group(
    graph: Any, model: nn.Module, group: ChannelGroup, channels: Sequence[int]
) -> None:
    leaving = pruning_group(graph, model, group, channels)
    for dependency, indices in leaving:
        layer = dependency.target.module
        if graph.is_out_channel_pruning_fn(dependency.handler):
            continue
        if is_grouped(layer):
            _align(layer, indices)
        elif isinstance(layer, nn.Linear):  # behind queries, keys and values there may be others
            indices[:] = [index for index in indices if index < layer.in_features]
    leaving.prune()


def pruning_group(
    graph: Any, model: nn.Module, group: ChannelGroup, channels: Sequence[int]
) -> Any:
    """What leaves with these channels, for torch-pruning to `prune`."""
    layer = model.get_submodule(group.root)
    remove = graph.get_pruner_of_module(layer).prune_out_channels
    starts = range(0, graph.get_out_channels(layer), group.num_channels)
    rows = [start + channel for start in starts for channel in channels]
    return graph.get_pruning_group(layer, remove, rows)


def _align(layer: nn.Conv2d, leaving: Sequence[int]) -> None:
    """torch-pruning cuts from all groups of inputs what it cuts from the first: the weights that
    the others keep move there, and their momentum."""
    size, leave = layer.in_channels // layer.groups, {*leaving}
    kept = [
        [k for k in range(size) if block * size + k not in leave] for block in range(layer.groups)
    ]
    for values in (layer.weight.detach(), layer.weight.grad):
        if values is not None:
            for part, block in zip(values.chunk(layer.groups), kept, strict=True):
                part[:, kept[0]] = part[:, block]


def adopt_momentum(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Take what `remove_channels` left in `.grad` as momentum."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            optimizer.state[parameter]["momentum_buffer"] = parameter.grad
            parameter.grad = None
