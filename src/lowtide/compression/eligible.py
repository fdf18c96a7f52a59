"""Which channels may leave, and for each layer that keeps its own the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from lowtide.errors import ModelError
from lowtide.models.cost import LAYERS
from lowtide.objective.exactness import REASON, inexact_groups
from lowtide.objective.groups import ChannelGroup, LayerCost, find_groups, last_layer, layer_costs

NAMED_LIMITS = 3


@dataclass(frozen=True)
class Eligible:
    """`costs`: of all layers, which name the groups by their index."""

    groups: list[ChannelGroup]
    not_pruned: dict[str, str]  # layer -> why it keeps its outputs
    costs: list[LayerCost]

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return sum(cost.macs for cost in self.costs)

    def macs_with(self, kept: Sequence[int]) -> dict[str, float]:
        """Of each layer, with so many channels left in each group."""
        shares = [k / group.num_channels for k, group in zip(kept, self.groups, strict=True)]
        return {cost.name: cost.macs * cost.share(shares.__getitem__) for cost in self.costs}


def eligible_groups(model: nn.Module, input_shape: tuple[int, int, int], round_to: int) -> Eligible:
    """Groups that can lose channels and stay a multiple of `round_to`; there may be none.

    Raises:
        ModelError: the model has no layer, or cannot be followed.
    """
    if not any(isinstance(module, LAYERS) for module in model.modules()):
        raise ModelError("the model has no convolution or linear layer that could be pruned")
    found, reasons = find_groups(model, input_shape)
    inexact = inexact_groups(model, input_shape, found)
    names = {module: name for name, module in model.named_modules()}
    reasons = dict.fromkeys(
        (names[layer] for layer in last_layer(model, input_shape)), "its outputs are the model's"
    ) | reasons  # fmt: skip
    groups = []
    for group in found:
        reason = REASON if group.root in inexact else _too_narrow(group, round_to)
        if reason is None:
            groups.append(group)
        else:
            reasons |= dict.fromkeys(group.written, reason)
    return Eligible(groups, reasons, layer_costs(model, input_shape, groups))


def _too_narrow(group: ChannelGroup, round_to: int) -> str | None:
    if group.num_channels > round_to:
        return None
    return f"has {group.num_channels} channels, and stays a multiple of {round_to}"


def require_reachable(eligible: Eligible, macs_fraction: float, round_to: int) -> None:
    """ModelError: no layer can be pruned, or with `round_to` channels in each group more
    multiply-adds are left than that; says how many, and which layers it is up to."""
    if not eligible.groups:
        listed = "; ".join(f"{name}: {reason}" for name, reason in eligible.not_pruned.items())
        raise ModelError(f"no layer can be pruned ({listed}): leave the model as it is")
    least = [round_to for _ in eligible.groups]
    left = eligible.macs_with(least)
    reached = sum(left.values()) / eligible.macs
    if reached > macs_fraction:
        raise ModelError(
            f"pruning reached {reached:.0%} of the multiply-adds, prune.macs_fraction asks for "
            f"{macs_fraction:.0%}: raise it, or lower prune.round_to; most are left in "
            f"{_limits(eligible, left, round_to)}"
        )


def _limits(eligible: Eligible, left: Mapping[str, float], round_to: int) -> str:
    """The layers with the most multiply-adds at the end, and why."""
    most = sorted(left, key=left.__getitem__, reverse=True)[:NAMED_LIMITS]
    reasons = eligible.not_pruned
    return ", ".join(f"{name} ({reasons.get(name, f'{round_to} channels')})" for name in most)
