"""How weights are fitted: SGD with Nesterov momentum and one triangular learning-rate cycle.

Leslie Smith, "Super-Convergence" (2018); batch norms and biases are not decayed.
"""

import time
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.params import FitParams

Precision = Literal["fp32", "bf16"]
WARMUP = 0.2  # share of the steps over which the learning rate rises


def learning_rate(step: int, num_steps: int, peak: float) -> float:
    """Rises linearly to `peak` over the first fifth of the steps, then falls linearly to 0."""
    progress = (step + 0.5) / num_steps
    return peak * min(progress / WARMUP, (1 - progress) / (1 - WARMUP))


def make_optimizer(model: nn.Module, recipe: FitParams) -> torch.optim.SGD:
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
    )


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def choose_precision(
    wanted: Literal["auto", "fp32", "bf16"], model: nn.Module, images: Tensor, labels: Tensor
) -> tuple[Precision, dict[str, float]]:
    """The precision whose training step is measured faster here, and milliseconds per step.

    Timed on a copy of the model with one real batch: a warm-up and the best of three steps each.
    """
    if wanted != "auto":
        return wanted, {}
    step_ms: dict[str, float] = {}
    candidates: tuple[Precision, Precision] = ("fp32", "bf16")
    for precision in candidates:
        trial = deepcopy(model).train()
        times_s = [_step_seconds(trial, images, labels, precision) for _ in range(4)]
        step_ms[precision] = min(times_s[1:]) * 1e3
    return min(candidates, key=lambda name: step_ms[name]), step_ms


def _step_seconds(model: nn.Module, images: Tensor, labels: Tensor, precision: Precision) -> float:
    started = time.perf_counter()
    with autocast(images.device, precision):
        loss = F.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - started
