"""What a multiply-add costs on this device, by kind of layer: measured on the model itself."""

import time
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from lowtide.models.cost import layer_macs
from lowtide.objective.groups import layer_kind

NUM_PASSES = 4  # the first of them warms up


def seconds_per_mac(model: nn.Module, images: Tensor, *, bf16: bool = False) -> dict[str, float]:
    """Seconds per multiply-add of each kind of layer, from forward passes.

    images: [N, C, H, W]. A kind's figure is total time over total multiply-adds, the least of
    several passes; a device that computes asynchronously is waited for around each layer.
    """
    channels, height, width = images.shape[1:]
    macs = layer_macs(model, (channels, height, width))
    layers = {name: module for name, module in model.named_modules() if name in macs}
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        passes = [_layer_seconds(model, layers, images) for _ in range(NUM_PASSES)][1:]
    seconds: dict[str, float] = defaultdict(float)
    total: dict[str, int] = defaultdict(int)
    for name, layer in layers.items():
        seconds[layer_kind(layer)] += min(each[name] for each in passes)
        total[layer_kind(layer)] += macs[name] * len(images)
    return {kind: seconds[kind] / total[kind] for kind in total}


def _layer_seconds(
    model: nn.Module, layers: dict[str, nn.Module], images: Tensor
) -> dict[str, float]:
    begun: dict[str, float] = {}
    taken: dict[str, float] = defaultdict(float)

    def now() -> float:
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        return time.perf_counter()

    def before(name: str) -> Any:
        return lambda *_: begun.__setitem__(name, now())

    def after(name: str) -> Any:
        return lambda *_: taken.__setitem__(name, taken[name] + now() - begun[name])

    hooks = [layer.register_forward_pre_hook(before(name)) for name, layer in layers.items()]
    hooks += [layer.register_forward_hook(after(name)) for name, layer in layers.items()]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(images)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return taken
