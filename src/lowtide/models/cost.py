"""How large a network is: multiply-adds and parameters."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lowtide.errors import UsageError

Shape = tuple[int, int, int]  # of an image: C, H, W
LAYERS = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)  # those with multiply-adds that count


def count_macs(model: nn.Module, input_shape: Shape) -> int:
    """Multiply-adds of convolutions, linear layers and attention's projections for one image."""
    return sum(layer_macs(model, input_shape).values())


def layer_macs(model: nn.Module, input_shape: Shape) -> dict[str, int]:
    """The same by layer, in the order in which they are first used."""
    found: dict[str, int] = {}

    def hook_of(name: str) -> Callable[..., None]:
        def add(layer: nn.Module, _: object, output: Any) -> None:
            found[name] = found.get(name, 0) + _macs(layer, output)

        return add

    hooks = [
        module.register_forward_hook(hook_of(name))
        for name, module in model.named_modules()
        if isinstance(module, LAYERS)
    ]
    training = model.training
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape, device=device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _macs(layer: nn.Module, output: Any) -> int:
    """Of one call, which gave [1, ...]; attention gives a pair whose first is [tokens, width]."""
    if isinstance(layer, nn.MultiheadAttention):
        num_tokens: int = output[0].numel() // layer.embed_dim
        return num_tokens * sum(w.numel() for w in layer.parameters() if w.ndim == 2)
    weight, outputs = layer.weight, output[0]
    assert isinstance(weight, Tensor)
    assert isinstance(outputs, Tensor)
    return weight[0].numel() * outputs.numel()


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def require_no_larger(student: nn.Module, teacher: nn.Module, input_shape: Shape) -> None:
    """UsageError: the student takes more multiply-adds for an image than its teacher."""
    own, most = count_macs(student, input_shape), count_macs(teacher, input_shape)
    if own > most:
        raise UsageError(
            f"the student takes {own / 1e6:.3g} M multiply-adds for an image, its teacher "
            f"{most / 1e6:.3g} M: name a smaller one in model.student, or null for the teacher's "
            "own architecture"
        )
