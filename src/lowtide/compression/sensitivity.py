"""What the network loses where a group loses channels: measured on images it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from torch import Tensor, nn

from lowtide.data.batches import Batches
from lowtide.errors import ModelError
from lowtide.objective.closing import closed
from lowtide.objective.groups import ChannelGroup
from lowtide.training.step import evaluate

SHARES = (0.25, 0.5, 0.75)  # of a group's channels, the least important ones
TIE = 1e-6  # of a loss: where none is measured, importance alone decides


@dataclass(frozen=True)
class Sensitivity:
    """By how much the validation loss rises without a share of the channels written by `layer`."""

    layer: str
    num_channels: int
    rises: dict[float, float]  # share of the channels -> rise of the mean cross-entropy


def measure_sensitivity(
    model: nn.Module, groups: Sequence[ChannelGroup], scores: Sequence[Tensor], images: Batches
) -> list[Sensitivity]:
    """One group at a time; the channels give 0 meanwhile, which is as if they had left.

    Raises:
        ModelError: the model's loss is not finite.
    """
    device = next(model.parameters()).device

    def loss() -> float:
        return evaluate(model, images, device, "fp32")[0]

    def without(group: ChannelGroup, channels: list[int]) -> float:
        with closed(model, group, channels):
            return loss()

    training, whole = model.training, loss()
    if not isfinite(whole):
        raise ModelError(f"the model's validation loss is {whole}: train it again")
    rises = [
        {
            share: without(group, group.in_turns(score)[: round(share * len(score))]) - whole
            for share in SHARES
        }
        for group, score in zip(groups, scores, strict=True)
    ]
    model.train(training)
    return [
        Sensitivity(group.root, group.num_channels, of)
        for group, of in zip(groups, rises, strict=True)
    ]


def estimated_loss(
    group: ChannelGroup, score: Tensor, sensitivity: Sensitivity | None
) -> np.ndarray:
    """[channels + 1]: what the loss rises by without the k channels that leave first.

    Between two measured rises it grows with the importance that has gone, or evenly where that is
    none; without measured ones importance is the estimate itself.
    """
    gone, size = _share_gone(score[group.in_turns(score)]), len(score)
    if sensitivity is None:
        return gone
    rises = {0: 0.0} | {round(share * size): rise for share, rise in sensitivity.rises.items()}
    rises |= {0: 0.0, size: max(rises.values()) * (size / max(max(rises), 1))}
    grown = np.maximum.accumulate([*rises.values()])
    position = gone + TIE * np.arange(size + 1)
    estimate: np.ndarray = np.interp(position, position[[*rises]], grown)
    estimate += TIE * position
    return estimate


def _share_gone(ordered: Tensor) -> np.ndarray:
    """[channels + 1]: of the group's importance, in its first k channels."""
    parts = ordered.numpy().astype(np.float64)
    total = parts.sum()
    parts = parts / total if total > 0 else np.full(len(parts), 1 / len(parts))
    return np.concatenate([[0.0], np.cumsum(parts)])
