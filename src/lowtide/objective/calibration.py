"""What a multiply-add costs on this device, by kind of layer: measured on the model itself."""

import time
from collections import defaultdict

import torch
from torch import Tensor, nn

from lowtide.models.at_work import noted
from lowtide.models.cost import layer_macs
from lowtide.objective.layers import layer_kind

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
        passes = [_layer_seconds(model, images) for _ in range(NUM_PASSES)][1:]
    seconds: dict[str, float] = defaultdict(float)
    total: dict[str, int] = defaultdict(int)
    for name, layer in layers.items():
        seconds[layer_kind(layer)] += min(each[name] for each in passes)
        total[layer_kind(layer)] += macs[name] * len(images)
    return {kind: seconds[kind] / total[kind] for kind in total}


def _layer_seconds(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Of each layer's own code, without the modules that it calls."""
    taken: dict[str, float] = defaultdict(float)
    since, training = 0.0, model.training

    def now() -> float:
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        return time.perf_counter()

    def note(name: str) -> None:
        nonlocal since
        until = now()
        taken[name] += until - since
        since = until

    try:
        with torch.no_grad(), noted(model.eval(), note):
            since = now()
            model(images)
    finally:
        model.train(training)
    return taken
