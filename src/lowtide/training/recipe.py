"""How weights are fitted: SGD with Nesterov momentum; batch norms and biases are not decayed."""

import time
from collections.abc import Callable
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.controller.knobs import Precision
from lowtide.params import FitParams

HOPELESS = 4.0  # times the step at full precision, in the first step: it will not be chosen


def make_optimizer(
    model: nn.Module, recipe: FitParams, beside: nn.Module | None = None
) -> torch.optim.SGD:
    """beside: what is learnt along with the model."""
    learnt = [*model.parameters(), *(() if beside is None else beside.parameters())]
    decayed = [p for p in learnt if p.requires_grad and p.ndim > 1]
    plain = [p for p in learnt if p.requires_grad and p.ndim <= 1]
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
    seconds = seconds_by_precision(model, images, labels)
    step_ms: dict[str, float] = {name: 1e3 * each for name, each in seconds.items()}
    return min(seconds, key=lambda name: seconds[name]), step_ms


def seconds_by_precision(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    agreed: Callable[[float], float] = lambda seconds: seconds,
) -> dict[Precision, float]:
    """Of a training step. A device without bf16 is many times slower: one step tells enough.

    `agreed`: what processes that step together make of their seconds.
    """
    full = agreed(step_seconds(model, images, labels, "fp32"))
    first = agreed(step_seconds(model, images, labels, "bf16", num_steps=0))
    if first > HOPELESS * full:
        return {"fp32": full, "bf16": first}
    return {"fp32": full, "bf16": agreed(step_seconds(model, images, labels, "bf16"))}


def step_seconds(
    model: nn.Module, images: Tensor, labels: Tensor, precision: Precision, num_steps: int = 3
) -> float:
    """Of one training step, on a copy of the model: the best of `num_steps` after a warm-up, or
    the warm-up alone."""
    trial = deepcopy(model).train()
    first = _step_seconds(trial, images, labels, precision)
    return min(
        (_step_seconds(trial, images, labels, precision) for _ in range(num_steps)), default=first
    )


def _step_seconds(model: nn.Module, images: Tensor, labels: Tensor, precision: Precision) -> float:
    started = time.perf_counter()
    with autocast(images.device, precision):
        loss = F.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - started
