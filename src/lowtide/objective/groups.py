"""Which channels come and go together, and what each layer costs by them.

Dependencies between layers are torch-pruning's business (Fang et al., "DepGraph", 2023).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lowtide.errors import ModelError, first_line
from lowtide.models.cost import layer_macs

UNSEEN = "no gradient passes it, by which its channels could be followed"
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d)


@dataclass(frozen=True)
class ChannelGroup:
    """Coupled channels of one or more layers: `num_channels` of each, named after `root`.

    `gated`: modules whose outputs a gate multiplies; where a channel's gate is 0 they give 0.
    """

    root: str
    num_channels: int
    gated: tuple[str, ...]
    written: tuple[str, ...]  # layers with multiply-adds whose outputs the group's channels are
    read: dict[str, float]  # layers of whose inputs they are this share


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

    The last layer keeps its outputs. A group where some layer is followed by a norm and some is
    not has no one place where its channels are nothing, and is left alone; so are channels whose
    norm looks at other channels, too (GroupNorm), or has no weights to fold a gate into, and those
    of grouped convolutions that are not depthwise, which need as many from each group.

    Raises:
        ModelError: torch-pruning cannot follow the model.
    """
    graph = dependency_graph(model, input_shape)
    last = last_layer(model, input_shape)
    names = {module: name for name, module in model.named_modules()}
    found: list[ChannelGroup] = []
    refused: dict[str, str] = {}
    for group in graph.get_all_groups(ignored_layers=last):
        described = _describe(graph, group, names)
        if isinstance(described, ChannelGroup):
            found.append(described)
        else:
            refused |= dict.fromkeys(_writing(graph, group, names), described)
    free = {name for group in found for name in group.written}
    for name in layer_macs(model, input_shape):
        layer = model.get_submodule(name)
        if name not in free and name not in refused and layer not in last:
            followed = layer in graph.module2node
            refused[name] = "shares channels with the outputs" if followed else UNSEEN
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


def layer_kind(layer: nn.Module) -> str:
    """Layers of one kind cost about the same joules per multiply-add."""
    if not isinstance(layer, nn.Conv2d):
        return "attention" if isinstance(layer, nn.MultiheadAttention) else "linear"
    size = "x".join(str(side) for side in layer.kernel_size)
    return f"conv{size}" if layer.groups == 1 else f"grouped conv{size}"


def _is_grouped(layer: nn.Module) -> bool:
    """In other groups than one for each channel, which is depthwise."""
    if not isinstance(layer, nn.Conv2d) or layer.groups == 1:
        return False
    return not layer.groups == layer.in_channels == layer.out_channels


def dependency_graph(model: nn.Module, input_shape: tuple[int, int, int]) -> Any:
    """ModelError: torch-pruning cannot follow the model."""
    import torch_pruning

    device = next(model.parameters()).device
    example = torch.zeros(1, *input_shape, device=device)
    modes = {module: module.training for module in model.modules()}
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    try:
        model.requires_grad_(True)  # it follows gradients
        return torch_pruning.DependencyGraph().build_dependency(
            model, example_inputs=example, verbose=False
        )
    except Exception as error:  # the model's own, or of what torch-pruning makes of it
        raise ModelError(
            f"torch-pruning cannot follow the model ({type(error).__name__}: {first_line(error)}): "
            "its channels cannot be pruned or gated"
        ) from error
    finally:  # it was traced in evaluation
        for module, mode in modes.items():
            module.training = mode
        for parameter in frozen:
            parameter.requires_grad_(False)


def last_layer(model: nn.Module, input_shape: tuple[int, int, int]) -> list[nn.Module]:
    """The one that is used last, wherever the model defines it; empty where there is none."""
    return [model.get_submodule(name) for name in [*layer_macs(model, input_shape)][-1:]]


def _writing(graph: Any, group: Any, names: dict[nn.Module, str]) -> list[str]:
    """Layers whose outputs are in the group; norms and activations are none."""
    return [
        names[dependency.target.module]
        for dependency, _ in group
        if dependency.target.module in names
        and graph.is_out_channel_pruning_fn(dependency.handler)
        and any(p.ndim > 1 for p in dependency.target.module.parameters(recurse=False))
    ]


def _describe(graph: Any, group: Any, names: dict[nn.Module, str]) -> ChannelGroup | str:
    """The group, or why its channels cannot be gated."""
    root = group[0].dep.target.module
    size = graph.get_out_channels(root)
    written: list[str] = []
    read: dict[str, float] = {}
    norms: list[str] = []
    for dependency, channels in group:
        module = dependency.target.module
        if module not in names:
            continue  # an operation without weights: add, pool, flatten
        name, outputs = names[module], graph.is_out_channel_pruning_fn(dependency.handler)
        reason = _obstacle(module, outputs)
        if reason is not None:
            return f"{name} {reason}"
        if isinstance(module, NORMS):
            if graph.get_out_channels(module) != size:
                return f"{name} norms other channels with these"
            norms.append(name)
        elif outputs and isinstance(module, nn.Conv2d | nn.Linear):
            if len(channels) != size or graph.get_out_channels(module) != size:
                return f"{name} has other channels beside these"
            written.append(name)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            read[name] = read.get(name, 0.0) + len(channels) / graph.get_in_channels(module)
    if norms and len(norms) != len(written):
        return "a norm follows some of the layers that are added, not all"
    return ChannelGroup(names[root], size, tuple(norms or written), tuple(written), read)


def _obstacle(module: nn.Module, outputs: bool) -> str | None:
    """Why no channel can be nothing where this module is in its group."""
    if isinstance(module, nn.GroupNorm | nn.LayerNorm):
        return "norms each channel by all of them"
    if isinstance(module, nn.MultiheadAttention):
        return "is attention, whose heads need all channels"
    if _is_grouped(module):
        return "is a grouped convolution, which needs as many channels in each group"
    if isinstance(module, NORMS):
        return None if module.affine else "has no weights to close a channel with"
    known = isinstance(module, nn.Conv2d | nn.Linear | nn.PReLU)
    if outputs and not known and list(module.parameters(recurse=False)):
        return f"is a {type(module).__name__}, which is not known to give 0 for 0"
    return None
