"""Channels that are nothing for a while: what the network says as if they had left."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lowtide.objective.groups import ChannelGroup


@contextmanager
def closed(model: nn.Module, group: ChannelGroup, channels: Sequence[int]) -> Iterator[None]:
    """In the body the group's gated modules give 0 in these channels."""
    index = torch.tensor(channels, dtype=torch.long, device=next(model.parameters()).device)
    with ExitStack() as stack:
        for name in group.gated:
            module = model.get_submodule(name)
            hook = module.register_forward_hook(_closing(module, index, group.num_channels))
            stack.callback(hook.remove)
        yield


def _closing(module: nn.Module, index: Tensor, num_channels: int) -> Callable[..., Any]:
    dimension = -1 if isinstance(module, nn.Linear) else 1  # a linear layer's channels come last

    def close(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        starts = range(0, output.shape[dimension], num_channels)
        return output.index_fill(dimension, torch.cat([index + start for start in starts]), 0)

    return close
