"""Structured pruning: whole channels leave, with everything that depends on them.

A notch at a time goes from where the estimated loss for each second saved is least, until the
multiply-adds are down to the target.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from math import ceil, inf

import numpy as np
from torch import nn

from lowtide.compression.eligible import Eligible
from lowtide.compression.ranking import Ranking
from lowtide.compression.rounding import Rounding
from lowtide.compression.sensitivity import Sensitivity, estimated_loss
from lowtide.models.cost import count_macs, count_parameters
from lowtide.objective.removal import take_out
from lowtide.params import Importance


@dataclass(frozen=True)
class PruneResult:
    """`seconds_per_mac`: by kind of layer, as measured for the choice of what leaves."""

    macs_before: int
    macs_after: int
    parameters_before: int
    parameters_after: int
    channels: dict[str, tuple[int, int]]  # layer -> output channels before and after
    not_pruned: dict[str, str]  # layer -> why it keeps its outputs
    importance: Importance
    round_to: Rounding
    sensitivity: list[Sensitivity] | None
    seconds_per_mac: dict[str, float]


def prune_channels(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    eligible: Eligible,
    ranking: Ranking,
    rounding: Rounding,
    target_macs: float,
) -> PruneResult:
    """Remove channels in place until at most `target_macs` multiply-adds are left for an image, or
    as many as there are with the least channels that `rounding` allows."""
    kept = _plan(eligible, ranking, target_macs, rounding.multiple)
    leaving = [
        group.in_turns(score)[: len(score) - k]
        for group, score, k in zip(eligible.groups, ranking.scores, kept, strict=True)
    ]
    macs, parameters = count_macs(model, input_shape), count_parameters(model)
    before = _widths(model, eligible)
    take_out(model, input_shape, eligible.groups, leaving)
    after = _widths(model, eligible)
    channels = {name: (before[name], after[name]) for name in before if after[name] < before[name]}
    return PruneResult(
        macs, count_macs(model, input_shape), parameters, count_parameters(model), channels,
        eligible.not_pruned, ranking.importance, rounding, ranking.sensitivity,
        ranking.seconds_per_mac,
    )  # fmt: skip


def _widths(model: nn.Module, eligible: Eligible) -> dict[str, int]:
    """Outputs of the layers that may lose some."""
    names = [name for group in eligible.groups for name in group.written]
    return {name: len(model.get_parameter(f"{name}.weight")) for name in names}


def _plan(eligible: Eligible, ranking: Ranking, target_macs: float, round_to: int) -> list[int]:
    """Channels to keep in each group."""
    kept = [group.num_channels for group in eligible.groups]
    losses = _losses(eligible, ranking)
    while sum(eligible.macs_with(kept).values()) > target_macs:
        now, offers = _seconds(eligible, ranking, kept), []
        for index, width in enumerate(kept):
            group = eligible.groups[index]
            notch = group.notch(round_to)
            narrower = (ceil(width / notch) - 1) * notch
            if narrower < group.least(round_to):
                continue
            then = _with(kept, index, narrower)
            saved = now - _seconds(eligible, ranking, then)
            lost = losses[index][narrower] - losses[index][width]
            offers.append((lost / saved if saved > 0 else inf, then))
        if not offers:
            return kept
        kept = min(offers)[1]
    return _refilled(kept, eligible, losses, target_macs, round_to)


def _refilled(
    kept: list[int],
    eligible: Eligible,
    losses: Sequence[np.ndarray],
    target_macs: float,
    round_to: int,
) -> list[int]:
    """The last notch may have been a large one: smaller ones come back where there is room, those
    that are missed most first."""
    while True:
        offers = []
        for index, (width, group) in enumerate(zip(kept, eligible.groups, strict=True)):
            notch = group.notch(round_to)
            wider = min((width // notch + 1) * notch, group.num_channels)
            then = _with(kept, index, wider)
            if wider > width and sum(eligible.macs_with(then).values()) <= target_macs:
                offers.append((losses[index][width] - losses[index][wider], then))
        if not offers:
            return kept
        kept = max(offers)[1]


def _with(kept: Sequence[int], index: int, width: int) -> list[int]:
    return [*kept[:index], width, *kept[index + 1 :]]


def _losses(eligible: Eligible, ranking: Ranking) -> list[np.ndarray]:
    """[channels + 1] for each group: estimated rise of the loss where so many are kept."""
    measured = ranking.sensitivity or repeat(None, len(eligible.groups))
    return [
        estimated_loss(group, score, of)[::-1]
        for group, score, of in zip(eligible.groups, ranking.scores, measured, strict=True)
    ]


def _seconds(eligible: Eligible, ranking: Ranking, kept: Sequence[int]) -> float:
    """Of one image, with so many channels left in each group."""
    left = eligible.macs_with(kept)
    return sum(ranking.seconds_per_mac[cost.kind] * left[cost.name] for cost in eligible.costs)
