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
from lowtide.objective.groups import ChannelGroup, dependency_graph
from lowtide.objective.removal import pruning_group

TOLERANCE = 1e-4  # of the largest output
NUM_IMAGES = 2
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
    """Compares the first channel of each group closed with the same channels gone."""
    narrow = [group for group in groups if group.num_channels > 1]
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    images = (255 * torch.rand(NUM_IMAGES, *input_shape, generator=generator)).to(device)
    shut = deepcopy(model).eval()
    with torch.no_grad(), ExitStack() as stack:
        for group in narrow:
            stack.enter_context(closed(shut, group, [0]))
        before = shut(images)
    after = _without_first(deepcopy(model), input_shape, narrow, images)
    if after is None:
        return False
    scale = float(before.abs().max()) or 1.0
    return bool(torch.allclose(before, after, rtol=0.0, atol=TOLERANCE * scale))


def _without_first(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    groups: Sequence[ChannelGroup],
    images: Tensor,
) -> Tensor | None:
    """Logits [N, K]; None where the model cannot do without: its code counts on a width."""
    graph = dependency_graph(model, input_shape)
    try:
        for group in groups:
            pruning_group(graph, model, group, [0]).prune()
        with torch.no_grad():
            return model.eval()(images)  # type: ignore[no-any-return]
    except Exception:  # noqa: BLE001 -- whatever a model's own code raises
        return None
