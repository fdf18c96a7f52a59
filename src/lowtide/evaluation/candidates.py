"""What is known of each candidate: accuracy, agreement with torch, size, and what it takes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from lowtide.data.arrays import ImageArrays
from lowtide.data.card import Card
from lowtide.evaluation.accuracy import recall_per_class
from lowtide.evaluation.chain import TEACHER, TEACHER_TORCH, times_less
from lowtide.evaluation.statistics import paired_drop
from lowtide.models.cost import count_macs, count_parameters
from lowtide.models.factory import Classifier
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.probe import Turns, summary
from lowtide.runtime.torch_model import TorchModel

CONFIDENCE = 0.95  # of the intervals in tables


@dataclass(frozen=True)
class Candidate:
    """`network` is what the model was exported from, `size_bytes` that of its file."""

    model: OnnxModel | TorchModel
    network: Classifier
    size_bytes: int


def candidate_figures(
    candidates: Mapping[str, Candidate],
    turns: Mapping[str, Turns],
    answers: Mapping[str, np.ndarray],
    test: ImageArrays,
    card: Card,
    *,
    batch_size: int,
    provenance: str,
) -> dict[str, dict[str, Any]]:
    """By name; accuracy is of the file itself, and is paired with the exported teacher's.

    answers: the class, int64 [N], that each candidate names for each test image.
    """

    @cache
    def expected(network: Classifier) -> np.ndarray:
        in_torch = TorchModel(network, candidates[TEACHER].model.runtime)
        named: np.ndarray = in_torch.logits(test.images).argmax(1)
        return named

    figures: dict[str, dict[str, Any]] = {
        name: {
            **_accuracy(answers[name], answers[TEACHER], test, len(card.class_names)),
            "onnx_agreement": float((answers[name] == expected(one.network)).mean()),
            "size_bytes": one.size_bytes,
            "num_macs": count_macs(one.network, card.shape),
            "num_parameters": count_parameters(one.network),
            **asdict(summary(turns[name], batch_size, provenance)),
        }
        for name, one in candidates.items()
    }
    for name, own in figures.items():
        own["times_less"] = {
            reference: times_less(figures[reference], own, turns[reference], turns[name])
            for reference in (TEACHER_TORCH, TEACHER)
        }
    return figures


def _accuracy(
    predicted: np.ndarray, teacher: np.ndarray, test: ImageArrays, num_classes: int
) -> dict[str, Any]:
    recalls = recall_per_class(predicted, test.labels, num_classes)
    paired = paired_drop(teacher, predicted, test.labels, CONFIDENCE)
    return {
        "accuracy": float((predicted == test.labels).mean()),
        "accuracy_drop": paired.drop,
        "accuracy_drop_low": paired.low,
        "accuracy_drop_high": paired.high,
        "worst_class_recall": min(recalls),
        "recall_per_class": recalls,
    }
