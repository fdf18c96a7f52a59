"""Data and a cut for the tests of pruning."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.compression.eligible import eligible_groups, require_reachable
from lowtide.compression.importance import Lessons
from lowtide.compression.prune import PruneResult, prune_channels
from lowtide.compression.ranking import rank_channels
from lowtide.compression.rounding import Rounding
from lowtide.data.arrays import ImageArrays
from lowtide.data.batches import Batch, Batches
from lowtide.params import Importance

Shape = tuple[int, int, int]


def batches(shape: Shape, num: int = 32, num_classes: int = 4) -> Batches:
    """Noise with labels that a network can learn from the brightness."""
    random = np.random.default_rng(0)
    labels = random.integers(0, num_classes, num)
    images = random.integers(0, 128, (num, *shape)) + 30 * labels[:, None, None, None]
    arrays = ImageArrays(images.astype(np.uint8), labels)
    return Batches(arrays, 16, shuffle=True, seed=0, device=torch.device("cpu"))


def loss(batch: Batch, logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, batch.labels)


def lessons(shape: Shape, num_batches: int = 2) -> Lessons:
    return Lessons(batches(shape), loss, num_batches)


def cut(
    model: nn.Module,
    shape: Shape,
    *,
    macs_fraction: float,
    round_to: int,
    importance: Importance = "l2",
) -> PruneResult:
    eligible = eligible_groups(model, shape, round_to)
    require_reachable(eligible, macs_fraction, round_to)
    ranking = rank_channels(model, shape, eligible, importance, lessons(shape), batches(shape))
    target = macs_fraction * eligible.macs
    return prune_channels(model, shape, eligible, ranking, Rounding(round_to, None), target)
