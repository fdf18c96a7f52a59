"""Which channels come and go together, and what each layer costs by them.

Dependencies between layers are torch-pruning's business (Fang et al., "DepGraph", 2023).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lowtide.models.cost import layer_macs

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d)


@dataclass(frozen=True)
class ChannelGroup:
    """Coupled channels of one or more layers: those of `roots` (names), counted by `num_channels`.

    `gated`: modules whose outputs a gate multiplies; where a channel's gate is 0 they give 0.
    """

    root: str
    num_channels: int
    gated: tuple[str, ...]
    written: tuple[str, ...]  # layers with multiply-adds whose outputs the group's channels are
    read: tuple[str, ...]  # layers whose inputs they are


@dataclass(frozen=True)
class LayerCost:
    """A layer with multiply-adds for one image, and the groups that its size hangs on."""

    name: str
    macs: int
    kind: str
    inputs: int | None  # index of the group, None where none can leave
    outputs: int | None


def find_groups(
    model: nn.Module, input_shape: tuple[int, int, int]
) -> tuple[list[ChannelGroup], list[str]]:
    """The groups that can be gated, and the names of layers whose outputs cannot be.

    The last layer keeps its outputs. A group where some layer is followed by a norm and some is
    not has no one place where its channels are nothing, and is left alone; so are channels whose
    norm looks at other channels, too (GroupNorm), or has no weights to fold a gate into, and those
    of grouped convolutions that are not depthwise, which need as many from each group.
    """
    graph = dependency_graph(model, input_shape)
    names = {module: name for name, module in model.named_modules()}
    found: list[ChannelGroup] = []
    refused: list[str] = []
    for group in graph.get_all_groups(ignored_layers=last_layer(model, input_shape)):
        described = _describe(graph, group, names)
        if described is None:
            refused.append(names[group[0].dep.target.module])
        else:
            found.append(described)
    return found, refused


def layer_costs(
    model: nn.Module, input_shape: tuple[int, int, int], groups: list[ChannelGroup]
) -> list[LayerCost]:
    writes = {name: index for index, group in enumerate(groups) for name in group.written}
    reads = {name: index for index, group in enumerate(groups) for name in group.read}
    modules = dict(model.named_modules())
    return [
        LayerCost(name, macs, layer_kind(modules[name]), reads.get(name), writes.get(name))
        for name, macs in layer_macs(model, input_shape).items()
    ]


def layer_kind(layer: nn.Module) -> str:
    """Layers of one kind cost about the same joules per multiply-add."""
    if not isinstance(layer, nn.Conv2d):
        return "linear"
    size = "x".join(str(side) for side in layer.kernel_size)
    return f"conv{size}" if layer.groups == 1 else f"grouped conv{size}"


def _is_grouped(layer: nn.Module) -> bool:
    """In other groups than one for each channel, which is depthwise."""
    if not isinstance(layer, nn.Conv2d) or layer.groups == 1:
        return False
    return not layer.groups == layer.in_channels == layer.out_channels


def dependency_graph(model: nn.Module, input_shape: tuple[int, int, int]) -> Any:
    import torch_pruning

    device = next(model.parameters()).device
    example = torch.zeros(1, *input_shape, device=device)
    modes = {module: module.training for module in model.modules()}
    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    for module, mode in modes.items():  # it was traced in evaluation
        module.training = mode
    return graph


def last_layer(model: nn.Module, input_shape: tuple[int, int, int]) -> list[nn.Module]:
    """The one that is used last, wherever the model defines it; empty where there is none."""
    return [model.get_submodule(name) for name in [*layer_macs(model, input_shape)][-1:]]


def _describe(graph: Any, group: Any, names: dict[nn.Module, str]) -> ChannelGroup | None:
    root = group[0].dep.target.module
    size = graph.get_out_channels(root)
    written: list[str] = []
    read: list[str] = []
    norms: list[str] = []
    for dependency, channels in group:
        module = dependency.target.module
        outputs = graph.is_out_channel_pruning_fn(dependency.handler)
        if module not in names:
            continue  # an operation without weights: add, pool, flatten
        name = names[module]
        if isinstance(module, nn.GroupNorm) or _is_grouped(module):
            return None
        if isinstance(module, NORMS):
            if graph.get_out_channels(module) != size or not module.affine:
                return None
            norms.append(name)
        elif outputs and isinstance(module, nn.Conv2d | nn.Linear):
            if len(channels) != size or graph.get_out_channels(module) != size:
                return None
            written.append(name)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            read.append(name)
        elif outputs and list(module.parameters(recurse=False)):
            return None  # a module that is not known to give 0 for 0
    if norms and len(norms) != len(written):
        return None
    return ChannelGroup(
        names[root], size, tuple(norms or written), tuple(written), tuple(dict.fromkeys(read))
    )
