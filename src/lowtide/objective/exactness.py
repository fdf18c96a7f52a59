"""Whether a channel that is closed can leave without a trace: measured, not guessed.

An activation that does not map 0 to 0 (sigmoid, softplus) hands on a constant for a closed channel,
which goes with it: then the network computes something else afterwards.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy

import torch
from torch import Tensor, nn

from lowtide.objective.closing import closed
from lowtide.objective.graph import dependency_graph
from lowtide.objective.groups import ChannelGroup
from lowtide.objective.removal import take_out_of_group

TOLERANCE = 1e-4  # of the largest output
NUM_IMAGES = 2
SHARPNESS = 2.0  # standard deviation of queries and keys
REASON = "a closed channel cannot leave without changing what the model says"


def inexact_groups(
    model: nn.Module, input_shape: tuple[int, int, int], groups: Sequence[ChannelGroup]
) -> frozenset[str]:
    """Roots of the groups whose closed channels cannot leave without changing the output."""
    if _is_exact(model, input_shape, groups):
        return frozenset()
    return frozenset(group.root for group in groups if not _is_exact(model, input_shape, [group]))


def _is_exact(
    model: nn.Module, input_shape: tuple[int, int, int], groups: Sequence[ChannelGroup]
) -> bool:
    """Compares some channels of each group closed with the same channels gone."""
    narrow = [group for group in groups if group.num_channels > group.num_blocks]
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    images = (255 * torch.rand(NUM_IMAGES, *input_shape, generator=generator)).to(device)
    shut = _attentive(deepcopy(model).eval(), narrow, images)
    cut = deepcopy(shut)
    with torch.no_grad(), ExitStack() as stack:
        for group in narrow:
            stack.enter_context(closed(shut, group, _tried(group)))
        before = shut(images)
    after = _without(cut, input_shape, narrow, images)
    if after is None or after.shape != before.shape:
        return False
    scale = float(before.abs().max()) or 1.0
    return bool(torch.allclose(before, after, rtol=0.0, atol=TOLERANCE * scale))


def _attentive(model: nn.Module, groups: Sequence[ChannelGroup], images: Tensor) -> nn.Module:
    """Its heads look at some tokens more than at others, whatever they have learnt: a scale of
    their scores that follows the width shows."""
    generator = torch.Generator().manual_seed(0)

    def sharpen(layer: nn.Linear, inputs: tuple[Tensor], _output: Tensor) -> Tensor:
        drawn = torch.randn(layer.weight.shape, generator=generator).to(layer.weight)
        plain = inputs[0] @ drawn.T
        layer.weight.copy_(drawn * SHARPNESS / plain.std())
        if layer.bias is not None:
            layer.bias.zero_()
        return plain * SHARPNESS / plain.std()

    heads = [name for group in groups if group.num_blocks > 1 for name in group.written]
    layers = [model.get_submodule(name) for name in heads]
    layers = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not layers:
        return model
    with torch.no_grad(), ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(sharpen).remove)
        model(images)
    return model


def _tried(group: ChannelGroup) -> list[int]:
    """One channel of each block, and not the same of all."""
    size = group.num_channels // group.num_blocks
    return [block * size + (block + size // 2) % size for block in range(group.num_blocks)]


def _without(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    groups: Sequence[ChannelGroup],
    images: Tensor,
) -> Tensor | None:
    """Logits [N, K]; None where the model cannot do without: its code counts on a width, or an
    auxiliary head that it has in training alone reads these channels, which no graph shows."""
    graph = dependency_graph(model, input_shape)
    try:
        for group in groups:
            take_out_of_group(graph, model, group, _tried(group))
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits: Tensor = model.eval()(images)
            model.train()(images)
            return logits
    except Exception:  # noqa: BLE001 -- whatever a model's own code raises
        return None
