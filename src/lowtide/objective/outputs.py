"""Which layers make a model's outputs: looked for from their side.

Where a layer is defined tells nothing of it, nor does the order of use: an auxiliary head may be
computed last, and what the last layer gives may be pooled, scaled or squeezed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from lowtide.models.at_work import noted
from lowtide.models.operators import Counter, counting


def output_layers(model: nn.Module, input_shape: tuple[int, int, int]) -> list[str]:
    """Names of the modules whose products the outputs are, each once; heads that are added or
    concatenated are several. Empty where no gradient passes to any."""
    return [*dict.fromkeys(name for name, made in products(model, input_shape) if made)]


def products(model: nn.Module, input_shape: tuple[int, int, int]) -> list[tuple[str, bool]]:
    """In the order of use: by whose code convolutions and products of matrices are computed, and
    whether what they give is the model's output, with no other of them in between."""
    names: list[str] = []
    begun: list[Tensor] = []
    device = next((parameter.device for parameter in model.parameters()), None)

    def note(name: str) -> None:
        names.extend([name] * (len(begun) - len(names)))

    with (
        _untouched(model), torch.enable_grad(), noted(model, note),
        counting() as counter, _Cut(counter, begun.append),
    ):  # fmt: skip
        outputs = model.eval()(torch.zeros(1, *input_shape, device=device))
    return list(zip(names, _reached(outputs, begun), strict=True))


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Its mode and what its code keeps of a pass (an auxiliary head's outputs, whose gradients
    could not be copied) are afterwards what they were."""
    before = {module: {**vars(module)} for module in model.modules()}
    try:
        yield
    finally:
        for module, attributes in before.items():
            vars(module).clear()
            vars(module).update(attributes)


class _Cut(TorchFunctionMode):
    """What a product gives depends on nothing: gradients of what follows end there."""

    def __init__(self, counter: Counter, begin: Callable[[Tensor], None]) -> None:
        super().__init__()
        self._counter, self._begin = counter, begin

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = self._counter.macs
        out = func(*args, **(kwargs or {}))
        return out if self._counter.macs == before else tree_map_only(Tensor, self._cut, out)

    def _cut(self, product: Tensor) -> Tensor:
        if not (product.is_floating_point() or product.is_complex()):
            return product
        leaf = product.detach().requires_grad_()
        self._begin(leaf)
        return leaf.clone()  # which may be changed in place


def _reached(outputs: Any, leaves: list[Tensor]) -> list[bool]:
    if not (leaves and isinstance(outputs, Tensor) and outputs.requires_grad):
        return [False] * len(leaves)
    ones = torch.ones_like(outputs)
    gradients = torch.autograd.grad(outputs, leaves, ones, allow_unused=True)
    return [gradient is not None for gradient in gradients]
