"""Which channels come and go together, and what each layer costs by them."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, lcm
from typing import Any

from torch import Tensor, nn

from lowtide.models.cost import layer_macs, layer_work
from lowtide.objective.coupling import Coupling
from lowtide.objective.graph import coupled_channels, dependency_graph
from lowtide.objective.layers import has_weights, layer_kind, why_not_found
from lowtide.objective.outputs import output_layers


@dataclass(frozen=True)
class ChannelGroup:
    """Coupled channels of one or more layers: `num_channels` of each, named after `root`.

    A layer that gives queries, keys and values at once has three times as many outputs: the three
    of a channel are `num_channels` apart.

    `gated`: modules whose outputs a gate multiplies; where a channel's gate is 0 they give 0.
    `num_blocks`: a grouped convolution, or attention with several heads, needs as many of them in
    each of so many equal parts.
    `at_least`: fewer are not left.
    """

    root: str
    num_channels: int
    gated: tuple[str, ...]
    written: tuple[str, ...]  # layers with multiply-adds whose outputs the group's channels are
    read: dict[str, float]  # layers of whose inputs they are this share
    num_blocks: int
    at_least: int

    def notch(self, round_to: int) -> int:
        """Channels leave by so many, and stay a multiple of it."""
        return lcm(round_to, self.num_blocks)

    def least(self, round_to: int) -> int:
        """So many are left where all leave that can."""
        notch = self.notch(round_to)
        return ceil(self.at_least / notch) * notch

    def in_turns(self, score: Tensor) -> list[int]:
        """Channels by [channels] scores, the lowest first, one of each block in turn."""
        size = self.num_channels // self.num_blocks
        ranked = score.view(self.num_blocks, size).argsort(stable=True).T.tolist()
        return [block * size + k for turn in ranked for block, k in enumerate(turn)]


@dataclass(frozen=True)
class LayerCost:
    """A layer with multiply-adds for one image, and the groups that its size hangs on."""

    name: str
    macs: int
    kind: str
    inputs: dict[int, float]  # index of a group -> its share; the rest cannot leave
    outputs: int | None  # index of the group, None where none can leave

    def share(self, kept: Callable[[int], Any]) -> Any:
        """Of its multiply-adds, where a share `kept(index)` of each group's channels is left."""
        inputs = 1.0 - sum(share * (1.0 - kept(index)) for index, share in self.inputs.items())
        return inputs if self.outputs is None else inputs * kept(self.outputs)


def find_groups(
    model: nn.Module, input_shape: tuple[int, int, int]
) -> tuple[list[ChannelGroup], dict[str, str]]:
    """The groups that can be gated, and for each layer whose outputs cannot be the reason.

    Layers whose outputs are the model's keep them. A group where some layer is followed by a norm
    and some is not has no one place where its channels are nothing, and is left alone; so are
    channels whose norm looks at other channels, too (GroupNorm), or has no weights to fold a gate
    into.

    Raises:
        ModelError: torch-pruning cannot follow the model.
    """
    graph = dependency_graph(model, input_shape)
    macs, heads = layer_work(model, input_shape)
    last = output_layers(model, input_shape)
    names = {module: name for name, module in model.named_modules()}
    found: list[ChannelGroup] = []
    refused: dict[str, str] = {}
    for group in coupled_channels(graph, [model.get_submodule(name) for name in last]):
        described = _describe(graph, group, names)
        if isinstance(described, ChannelGroup):
            found.append(_by_heads(model, described, heads))
        else:
            refused |= dict.fromkeys(_writing(graph, group, names), described)
    free = {name for group in found for name in group.written}
    for name in macs:
        layer = model.get_submodule(name)
        if name not in free | refused.keys() | {*last} and has_weights(layer):
            refused[name] = why_not_found(layer, followed=layer in graph.module2node)
    return found, refused


def layer_costs(
    model: nn.Module, input_shape: tuple[int, int, int], groups: list[ChannelGroup]
) -> list[LayerCost]:
    writes = {name: index for index, group in enumerate(groups) for name in group.written}
    reads: dict[str, dict[int, float]] = defaultdict(dict)
    for index, group in enumerate(groups):
        for name, share in group.read.items():
            reads[name][index] = share
    modules = dict(model.named_modules())
    return [
        LayerCost(name, macs, layer_kind(modules[name]), reads[name], writes.get(name))
        for name, macs in layer_macs(model, input_shape).items()
    ]


def _writing(graph: Any, group: Any, names: dict[nn.Module, str]) -> list[str]:
    """Layers whose outputs are in the group; norms and activations are none."""
    return [
        names[dependency.target.module]
        for dependency, _ in group
        if dependency.target.module in names
        and graph.is_out_channel_pruning_fn(dependency.handler)
        and has_weights(dependency.target.module)
    ]


def _describe(graph: Any, group: Any, names: dict[nn.Module, str]) -> ChannelGroup | str:
    """The group, or why its channels cannot be gated."""
    root = group[0].dep.target.module
    found = Coupling(graph, graph.get_out_channels(root))
    for dependency, channels in group:
        module = dependency.target.module
        if module not in names:
            continue  # an operation without weights: add, pool, flatten
        outputs = graph.is_out_channel_pruning_fn(dependency.handler)
        reason = found.add(names[module], module, outputs, channels)
        if reason is not None:
            return reason
    return found.refusal() or ChannelGroup(
        names[root], found.size, tuple(found.norms or found.written), tuple(found.written),
        found.read, found.num_blocks, found.at_least,
    )  # fmt: skip


def _by_heads(model: nn.Module, group: ChannelGroup, heads: dict[str, int]) -> ChannelGroup:
    """Queries, keys and values of an attention of the user's own: each head loses as many.

    `heads`: by name of the module whose code multiplies them. Whether that code takes other
    widths is for `objective.exactness` to find out.
    """
    parents = {name.rpartition(".")[0] for name in group.written}
    if len(parents) > 1 or not parents <= heads.keys() or group.gated != group.written:
        return group
    (parent,) = parents
    read = [model.get_submodule(name) for name in group.read]
    widths = {layer.in_features for layer in read if isinstance(layer, nn.Linear)}
    at_once = len(group.written) == 1 and widths == {group.num_channels // 3}
    size = group.num_channels // 3 if at_once else group.num_channels
    if not (at_once or len(group.written) == 3) or size % heads[parent] or size == heads[parent]:
        return group
    shares = dict.fromkeys(group.read, 1.0) if at_once else group.read
    return replace(group, num_channels=size, num_blocks=heads[parent], read={**shares, parent: 1.0})
