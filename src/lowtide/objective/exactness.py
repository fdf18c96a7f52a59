"""Whether a channel that is closed can leave without a trace: measured, not guessed.

An activation that does not map 0 to 0 (sigmoid, softplus) hands on a constant for a closed channel,
which goes with it: then the network computes something else afterwards.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from lowtide.objective.groups import ChannelGroup, dependency_graph
from lowtide.objective.removal import pruning_group

TOLERANCE = 1e-4  # of the largest output
NUM_IMAGES = 2


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
    """Compares the first channel of each group closed with the same channels gone."""
    narrow = [group for group in groups if group.num_channels > 1]
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    images = (255 * torch.rand(NUM_IMAGES, *input_shape, generator=generator)).to(device)
    closed, gone = deepcopy(model).eval(), deepcopy(model).eval()
    modules = dict(closed.named_modules())
    for group in narrow:
        for name in group.gated:
            modules[name].register_forward_hook(_closed_first(modules[name]))
    graph = dependency_graph(gone, input_shape)
    for group in narrow:
        pruning_group(graph, gone, group, [0]).prune()
    with torch.no_grad():
        before, after = closed(images), gone.eval()(images)
    scale = float(before.abs().max()) or 1.0
    return bool(torch.allclose(before, after, rtol=0.0, atol=TOLERANCE * scale))


def _closed_first(module: nn.Module) -> Callable[..., Any]:
    dimension = -1 if isinstance(module, nn.Linear) else 1

    def close(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return output.index_fill(
            dimension, torch.zeros(1, dtype=torch.long, device=output.device), 0
        )

    return close
