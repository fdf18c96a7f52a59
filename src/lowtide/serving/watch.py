"""What a server says of itself, judged: has its input drifted, does it take more than was gated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowtide.errors import DataError, first_line
from lowtide.serving.cores import BatchCost
from lowtide.serving.drift import Drift, compare
from lowtide.serving.model import Figures

NUM_IMAGES_MIN = 100  # lately, for joules per image to mean something


@dataclass(frozen=True)
class Found:
    """`energy_ratio`: joules per inference served over recorded, in batches of the served sizes;
    None where one is unknown."""

    drift: Drift
    energy_ratio: float | None
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "drift": self.drift.to_json(),
            "energy_ratio": self.energy_ratio,
            "reasons": list(self.reasons),
        }

    def text(self) -> str:
        """Markdown."""
        head = "; ".join(self.reasons) or "nothing to act on"
        if self.drift.drifted is None:
            head += f" ({self.drift.num_images} images are too few to tell drift)"
        ratio = "unknown" if self.energy_ratio is None else f"{self.energy_ratio:.2f}"
        rows = "\n".join(
            f"| {one.name} | {one.distance:.3f} | {one.p_value:.2g} | {one.drifted} |"
            for one in self.drift.checks
        )
        table = f"\n| | distance | p | drifted |\n|---|---|---|---|\n{rows}\n" if rows else ""
        return f"{head}\n{table}\njoules per inference, served over recorded: {ratio}\n"


def judge_served(
    served: Mapping[str, Any], trained: np.ndarray, trained_labels: np.ndarray, *,
    gated: Figures, distance_max: float, energy_ratio_max: float,
) -> Found:  # fmt: skip
    """`served` is what /statistics tells; `trained` are statistics [N, 2 C] of training images.

    The recorded joules are those of the served version, else those of `gated`.

    Raises:
        DataError: it is not what a server of lowtide tells, or of images with other channels.
    """
    try:
        rows = np.asarray(served["statistics"], np.float32)
        labels = np.asarray(served["labels"], np.int64)
        ratio = _energy_ratio(served, gated)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the answer is not that of `lowtide serve` ({first_line(error)}): name its URL"
        ) from None
    drift = compare(trained, rows, trained_labels, labels, distance_max=distance_max)
    moved = [one.name for one in drift.checks if one.drifted]
    reasons = [f"input drift: {', '.join(moved)}"] if moved else []
    if ratio is not None and ratio > energy_ratio_max:
        reasons.append(f"{ratio:.2f} times the recorded joules per inference")
    return Found(drift, ratio, tuple(reasons))


def _energy_ratio(served: Mapping[str, Any], gated: Figures) -> float | None:
    """An image that comes alone takes more than one of a recorded batch."""
    lately, batches = served["inference_energy_j"], served["batch_cost_ratio"]
    recorded = served["recorded_inference_energy_j"]
    if not recorded:
        recorded, cost = gated.inference_energy_j, BatchCost(**served["batch_cost"])
        batches = cost.ratio(served["batch_images"], gated.batch_size)
    if lately is None or not recorded or not batches or served["num_images"] < NUM_IMAGES_MIN:
        return None
    return float(lately / (recorded * batches))
