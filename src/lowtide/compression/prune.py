"""Structured pruning: whole channels leave, with everything that depends on them.

Dependencies between layers are torch-pruning's business (Fang et al., "DepGraph", 2023);
importance is the L2 norm over each group of coupled weights.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lowtide.errors import ModelError
from lowtide.models.cost import count_macs, count_parameters

STEPS = 20  # rounds of offers; enough for the deepest cut


@dataclass(frozen=True)
class PruneResult:
    macs_before: int
    macs_after: int
    parameters_before: int
    parameters_after: int
    channels: dict[str, tuple[int, int]]  # layer -> output channels before and after


def prune_channels(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    macs_fraction: float,
    round_to: int,
) -> PruneResult:
    """Remove channels in place until at most `macs_fraction` of the multiply-adds are left.

    The last linear layer keeps its outputs. Channel counts stay multiples of `round_to`.

    Raises:
        ModelError: nothing can be removed, or the target cannot be reached; says how far it got.
    """
    import torch_pruning

    last = _last_linear(model)
    before, parameters = count_macs(model, input_shape), count_parameters(model)
    channels = _channels(model)
    importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    pruner = torch_pruning.pruner.BasePruner(
        model,
        torch.zeros(1, *input_shape),
        importance=importance,
        iterative_steps=STEPS,
        pruning_ratio=0.95,
        global_pruning=True,
        round_to=round_to,
        ignored_layers=[last],
    )
    after = before
    for _ in range(STEPS):
        # A step offers a notch off every group of coupled layers; the least important go first.
        offered = list(pruner.step(interactive=True))
        for group in sorted(offered, key=lambda group: _share(pruner, importance, group)):
            if after <= macs_fraction * before:
                break
            group.prune()
            after = count_macs(model, input_shape)
    if after > macs_fraction * before:
        raise ModelError(
            f"pruning reached {after / before:.0%} of the multiply-adds, prune.macs_fraction asks "
            f"for {macs_fraction:.0%}: raise it, or lower prune.round_to"
        )
    changed = {
        name: (channels[name], count)
        for name, count in _channels(model).items()
        if count != channels[name]
    }
    return PruneResult(before, after, parameters, count_parameters(model), changed)


def _share(pruner: Any, importance: Any, group: Any) -> float:
    """How much of the group's importance lies in the channels that would be removed."""
    dependency, removed = group[0].dep, group[0].idxs
    layer, prune = dependency.target.module, dependency.handler
    every = list(range(pruner.DG.get_out_channels(layer)))
    scores = importance(pruner.DG.get_pruning_group(layer, prune, every))
    return float(scores[removed].sum() / scores.sum())


def _channels(model: nn.Module) -> dict[str, int]:
    return {
        name: module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def _last_linear(model: nn.Module) -> nn.Module:
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ModelError("the model has no convolution or linear layer that could be pruned")
    return layers[-1]
