"""Which channels may leave, and for each layer that keeps its own the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from lowtide.errors import ModelError
from lowtide.models.cost import layer_macs
from lowtide.objective.exactness import REASON, inexact_groups
from lowtide.objective.groups import ChannelGroup, LayerCost, find_groups, layer_costs
from lowtide.objective.outputs import output_layers
from lowtide.params import PruneParams

NAMED_LIMITS = 3
OUTPUTS = "its outputs are the model's"
LEAST_MULTIPLE = 4  # of those that `compression.rounding` measures


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
    if not layer_macs(model, input_shape):
        raise ModelError("the model has no convolution or linear layer that could be pruned")
    found, reasons = find_groups(model, input_shape)
    inexact = inexact_groups(model, input_shape, found)
    reasons = dict.fromkeys(output_layers(model, input_shape), OUTPUTS) | reasons
    groups = []
    for group in found:
        reason = REASON if group.root in inexact else _too_narrow(group, round_to)
        if reason is None:
            groups.append(group)
        else:
            reasons |= dict.fromkeys(group.written, reason)
    return Eligible(groups, reasons, layer_costs(model, input_shape, groups))


def _too_narrow(group: ChannelGroup, round_to: int) -> str | None:
    if group.num_channels > group.least(round_to):
        return None
    parts = f" in {group.num_blocks} groups" if group.num_blocks > 1 else ""
    needs = f" of at least {group.at_least}" if group.at_least > round_to else ""
    return f"has {group.num_channels} channels{parts}, and stays a multiple of {round_to}{needs}"


def require_prunable(
    model: nn.Module, input_shape: tuple[int, int, int], recipe: PruneParams
) -> None:
    """`require_reachable` of a model that is not trained yet: its shape alone matters.

    What `round_to: auto` will find is not known then: the least that it may find is taken.
    """
    if recipe.macs_fraction == 1:
        return
    multiple = LEAST_MULTIPLE if recipe.round_to == "auto" else recipe.round_to
    eligible = eligible_groups(model, input_shape, multiple)
    require_reachable(eligible, recipe.macs_fraction, multiple)


def require_reachable(eligible: Eligible, macs_fraction: float, round_to: int) -> None:
    """ModelError: no layer can be pruned, or with `round_to` channels in each group more
    multiply-adds are left than that; says how many, and which layers it is up to.

    Where all multiply-adds may stay (1.0) any model will do.
    """
    if macs_fraction == 1:
        return
    if not eligible.groups:
        listed = "; ".join(f"{name}: {reason}" for name, reason in eligible.not_pruned.items())
        raise ModelError(
            f"no layer can be pruned ({listed}): set prune.macs_fraction to 1.0, which leaves the "
            f"model as it is, or prune.round_to to less than {round_to}"
        )
    least = [group.least(round_to) for group in eligible.groups]
    left = eligible.macs_with(least)
    reached = sum(left.values()) / eligible.macs
    if reached > macs_fraction:
        raise ModelError(
            f"pruning reached {reached:.2g} of the multiply-adds, prune.macs_fraction asks for "
            f"{macs_fraction:g}: raise it, or set prune.round_to to less than {round_to}; most are "
            f"left in {_limits(eligible, left, round_to)}"
        )


def _limits(eligible: Eligible, left: Mapping[str, float], round_to: int) -> str:
    """The layers with the most multiply-adds at the end, and why."""
    why = {
        name: f"{group.least(round_to)} channels"
        for group in eligible.groups
        for name in group.written
    } | eligible.not_pruned
    most = sorted(left, key=left.__getitem__, reverse=True)[:NAMED_LIMITS]
    return ", ".join(f"{name} ({why[name]})" if name in why else name for name in most)
