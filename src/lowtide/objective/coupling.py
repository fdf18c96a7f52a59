"""What the layers of a group of coupled channels ask of it, taken in one by one."""

from collections.abc import Sequence
from math import lcm
from typing import Any

from torch import nn

from lowtide.objective.layers import (
    CUT,
    NORMS,
    READING,
    STRIDED_INPUTS,
    is_grouped,
    is_strided,
    obstacle,
)


class Coupling:
    """Of `size` channels. The figures are those of `objective.groups.ChannelGroup`."""

    def __init__(self, graph: Any, size: int) -> None:
        self._graph, self.size = graph, size
        self.written: list[str] = []
        self.read: dict[str, float] = {}
        self.norms: list[str] = []
        self.num_blocks = self._at_least = 1

    @property
    def at_least(self) -> int:
        """With one channel of each block a grouped convolution were depthwise."""
        return self._at_least if self.num_blocks == 1 else max(self._at_least, self.num_blocks + 1)

    def add(
        self, name: str, layer: nn.Module, outputs: bool, channels: Sequence[int]
    ) -> str | None:
        """channels: of its outputs, or else of its inputs. Returns why the group's cannot be gated
        if this layer is the reason."""
        reason = obstacle(layer, outputs)
        if reason is not None:
            return f"{name} {reason}"
        if isinstance(layer, NORMS):
            self.norms.append(name)
            alone = self._graph.get_out_channels(layer) == self.size
            return None if alone else f"{name} norms other channels with these"
        if outputs and isinstance(layer, CUT):
            self.written.append(name)
            if len(channels) != self.size or self._graph.get_out_channels(layer) != self.size:
                return f"{name} has other channels beside these"
        elif isinstance(layer, READING):
            self._add_reader(name, layer, len(channels))
        return self._add_blocks(name, layer, outputs, channels) if is_grouped(layer) else None

    def refusal(self) -> str | None:
        """Why the channels cannot be gated, of all layers together."""
        if self.norms and len(self.norms) != len(self.written):
            return "a norm follows some of the layers that are added, not all"
        if self.num_blocks == self.size > 1 or self.size % self.num_blocks:
            return "a grouped convolution has no more than one of its channels in each group"
        return None

    def _add_reader(self, name: str, layer: nn.Module, num_channels: int) -> None:
        share = num_channels / self._graph.get_in_channels(layer)
        self.read[name] = self.read.get(name, 0.0) + share
        if is_strided(layer):
            self._at_least = max(self._at_least, STRIDED_INPUTS)

    def _add_blocks(
        self, name: str, layer: Any, outputs: bool, channels: Sequence[int]
    ) -> str | None:
        of_all = layer.out_channels if outputs else layer.in_channels
        if [*channels] != [*range(of_all)] or of_all != self.size:
            return f"{name} is a grouped convolution of other channels beside these"
        self.num_blocks = lcm(self.num_blocks, layer.groups)
        return None
