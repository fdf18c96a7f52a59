"""The mean of the weights over the end of an epoch: about what they become as the rate falls to 0.

Averages along the way stand in for a decay of the learning rate (Izmailov et al., "Averaging
Weights Leads to Wider Optima", 2018; Sanyal et al., "Early Weight Averaging Meets High Learning
Rates", 2023), so that at full rate, too, it is seen how good a model would be that ended here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

EVERY = 4  # steps between two that count


class WeightAverage:
    """Running mean of parameters and float buffers; empty until `add`."""

    def __init__(self) -> None:
        self._mean: list[Tensor] = []
        self._num = 0

    def add(self, model: nn.Module) -> None:
        values = _values(model)
        self._num += 1
        if self._num == 1:
            self._mean = [value.clone() for value in values]
        else:
            torch._foreach_lerp_(self._mean, values, 1 / self._num)

    @property
    def held(self) -> list[Tensor]:
        return self._mean

    def clear(self) -> None:
        self._mean, self._num = [], 0

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """The model with averaged weights, where there are any; its own are put back after."""
        if not self._num:
            yield
            return
        values = _values(model)
        own = [value.clone() for value in values]
        torch._foreach_copy_(values, self._mean)
        try:
            yield
        finally:
            torch._foreach_copy_(values, own)

    def tensors(self) -> dict[str, Tensor]:
        """What `load` needs to go on."""
        found = {str(index): value for index, value in enumerate(self._mean)}
        return found | ({"num": torch.tensor(self._num)} if self._num else {})

    def load(self, tensors: dict[str, Tensor], device: torch.device) -> None:
        self.clear()
        if tensors:
            self._num = int(tensors["num"])
            self._mean = [tensors[str(index)].to(device) for index in range(len(tensors) - 1)]


def _values(model: nn.Module) -> list[Tensor]:
    buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    return [parameter.detach() for parameter in model.parameters()] + buffers
