"""What a cut goes by: scores of channels, sensitivity of layers, cost of multiply-adds."""

from dataclasses import dataclass

from torch import Tensor, nn

from lowtide.compression.eligible import Eligible
from lowtide.compression.importance import Lessons, channel_scores
from lowtide.compression.sensitivity import Sensitivity, measure_sensitivity
from lowtide.data.batches import Batches
from lowtide.objective.calibration import seconds_per_mac
from lowtide.params import Importance


@dataclass(frozen=True)
class Ranking:
    """scores: [channels] of each group. sensitivity: None where it is not measured.

    seconds_per_mac: by kind of layer, what a multiply-add is worth; relative figures are enough.
    """

    importance: Importance
    scores: list[Tensor]
    sensitivity: list[Sensitivity] | None
    seconds_per_mac: dict[str, float]


def rank_channels(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    eligible: Eligible,
    importance: Importance,
    lessons: Lessons,
    unseen: Batches | None,
) -> Ranking:
    """`unseen`: images for the sensitivity of the layers, if it is to be measured."""
    scores = channel_scores(model, input_shape, eligible.groups, importance, lessons)
    sensitivity = (
        None if unseen is None else measure_sensitivity(model, eligible.groups, scores, unseen)
    )
    images = next(iter(lessons)).images
    return Ranking(importance, scores, sensitivity, seconds_per_mac(model, images))
