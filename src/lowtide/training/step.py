"""One step of training, and a look at how far it has come."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from lowtide.controller.knobs import Precision
from lowtide.data.batches import Batch, Batches
from lowtide.errors import ModelError
from lowtide.training.recipe import autocast
from lowtide.training.resize import shrink
from lowtide.training.schedule import image_side, learning_rate
from lowtide.training.work import Fit
from lowtide.training.world import ALONE, World


class NotFiniteError(ModelError):
    pass


def take_step(work: Fit, batch: Batch) -> float:
    rate = learning_rate(work.epoch, work.recipe, work.knobs)
    for group in work.optimizer.param_groups:
        group["lr"] = rate
    work.optimizer.zero_grad(set_to_none=True)
    _reseed(work)
    value = work.steering.backward(work, batch)
    require_finite(work, value)
    work.optimizer.step()
    work.steering.after_update()
    return value


def _reseed(work: Fit) -> None:
    """What a model draws in a step (dropout) follows from seed, epoch, step and process."""
    where = (work.train.seed, work.progress.epoch, work.progress.step, work.world.rank)
    torch.manual_seed(int(np.random.SeedSequence(where).generate_state(1)[0]))


def require_finite(work: Fit, loss: float) -> None:
    if not math.isfinite(loss):
        raise _not_finite(work, f"the loss became {loss}")


def require_finite_weights(work: Fit) -> None:
    """Weights and what else the model keeps, such as the statistics of batch norms."""
    tensors = [*work.model.state_dict().values(), *work.beside.state_dict().values()]
    if not all(torch.isfinite(tensor).all() for tensor in tensors):
        raise _not_finite(work, "weights became infinite or NaN")


def _not_finite(work: Fit, what: str) -> NotFiniteError:
    return NotFiniteError(
        f"{what} in epoch {work.progress.epoch + 1}: "
        "lower the learning_rate of this stage in params.yaml"
    )


def backward(work: Fit, batch: Batch) -> float:
    """Gradients of the loss of one batch; returns the loss. Both are means over all processes."""
    side = image_side(work.epoch, min(batch.images.shape[2:]), work.knobs)
    with autocast(work.device, work.knobs.precision):
        logits = work.forward(shrink(batch.images, side))
    loss = work.loss(batch, logits.float())
    loss.backward()  # type: ignore[no-untyped-call]
    return work.world.mean(loss.item())


def evaluate(
    model: nn.Module,
    batches: Batches,
    device: torch.device,
    precision: Precision,
    world: World = ALONE,
    between: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on a split, of which each process has its share.

    `between` is called before each batch, as often in each process, and may raise.
    """
    model.eval()
    total_loss = correct = total = 0.0
    num_batches = 0
    with torch.no_grad(), autocast(device, precision):
        for batch in batches.epoch(0):
            between()
            num_batches += 1
            logits = model(batch.images).float()
            total_loss += float(nn.functional.cross_entropy(logits, batch.labels, reduction="sum"))
            correct += int((logits.argmax(1) == batch.labels).sum())
            total += len(batch.labels)
        for _ in range(num_batches, len(batches)):  # the last may be too small for all
            between()
    total_loss, correct, total = world.sum(total_loss, correct, total)
    return total_loss / total, correct / total
