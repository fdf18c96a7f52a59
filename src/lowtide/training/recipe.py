"""How weights are fitted: SGD with Nesterov momentum; batch norms and biases are not decayed."""

import time
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.controller.knobs import Precision
from lowtide.params import FitParams


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

    Timed with one real batch.
    """
    if wanted != "auto":
        return wanted, {}
    candidates: tuple[Precision, Precision] = ("fp32", "bf16")
    step_ms: dict[str, float] = {
        name: step_seconds(model, images, labels, name) * 1e3 for name in candidates
    }
    return min(candidates, key=lambda name: step_ms[name]), step_ms


def step_seconds(model: nn.Module, images: Tensor, labels: Tensor, precision: Precision) -> float:
    """Of one training step, on a copy of the model: the best of three after a warm-up."""
    trial = deepcopy(model).train()
    return min([_step_seconds(trial, images, labels, precision) for _ in range(4)][1:])


def _step_seconds(model: nn.Module, images: Tensor, labels: Tensor, precision: Precision) -> float:
    started = time.perf_counter()
    with autocast(images.device, precision):
        loss = F.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - started
