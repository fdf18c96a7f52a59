"""How large a network is: multiply-adds and parameters."""

import torch
from torch import Tensor, nn


def count_macs(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and linear layers for one image of shape [C, H, W]."""
    total = 0

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            per_output = module.weight[0].numel()
            total += per_output * output[0].numel()
        elif isinstance(module, nn.Linear):
            total += module.in_features * output[0].numel()

    hooks = [module.register_forward_hook(add) for module in model.modules()]
    training = model.training
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape, device=device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return total


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
