"""Does what comes in still look like what the model was trained on?

Statistics of single images (mean and spread by channel) are compared by the two-sample test of
Kolmogorov and Smirnov, predicted labels with the labels of training by a chi-square test
(`scipy.stats`). A difference counts where it is both sure and large: with thousands of images a
trifle is significant, with few a large one happens by chance.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lowtide.errors import DataError

NUM_IMAGES_MIN = 200  # of either side; under it nothing is said
P_MAX = 0.001  # of all checks together, by Bonferroni
EXPECTED_MIN = 5  # live images of a class, for the chi-square test to hold


@dataclass(frozen=True)
class DriftCheck:
    """`distance` from 0 to 1: largest gap of the distributions, or total variation of labels."""

    name: str
    distance: float
    p_value: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """`drifted` None: too few images to tell."""

    drifted: bool | None
    num_images: int
    checks: tuple[DriftCheck, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def image_statistics(images: np.ndarray) -> np.ndarray:
    """float32 [N, 2 C]: of each image [C, H, W] the mean of each channel, then the deviation."""
    pixels = images.astype(np.float32).reshape(*images.shape[:2], -1)
    return np.concatenate([pixels.mean(2), pixels.std(2)], axis=1)


def compare(
    trained: np.ndarray, live: np.ndarray,
    trained_labels: np.ndarray, live_labels: np.ndarray, *, distance_max: float,
) -> Drift:  # fmt: skip
    """Statistics [N, 2 C] and int labels [N] of training against those of live images.

    `distance_max`: how far a distribution may move, 0 to 1.

    Raises:
        DataError: they are of images with different channels.
    """
    if min(len(trained), len(live)) < NUM_IMAGES_MIN:
        return Drift(None, len(live), ())
    if trained.shape[1] != live.shape[1]:
        raise DataError(
            f"the server takes images of {live.shape[1] // 2} channels, the training images have "
            f"{trained.shape[1] // 2}: watch it from the checkout of its model"
        )
    found = [
        (name, *_kolmogorov_smirnov(trained[:, column], live[:, column]))
        for column, name in enumerate(_names(trained.shape[1]))
    ]
    found.append(("labels", *_label_shift(trained_labels, live_labels)))
    checks = tuple(
        DriftCheck(name, distance, p, distance > distance_max and p < P_MAX / len(found))
        for name, distance, p in found
    )
    return Drift(any(check.drifted for check in checks), len(live), checks)


def _names(num_columns: int) -> Sequence[str]:
    channels = range(num_columns // 2)
    return [f"{kind} of channel {c}" for kind in ("mean", "deviation") for c in channels]


def _kolmogorov_smirnov(trained: np.ndarray, live: np.ndarray) -> tuple[float, float]:
    from scipy.stats import ks_2samp

    result = ks_2samp(trained, live, method="asymp")
    return float(result.statistic), float(result.pvalue)


def _label_shift(trained: np.ndarray, live: np.ndarray) -> tuple[float, float]:
    """(total variation, p); classes too rare for the test are put together."""
    from scipy.stats import chi2_contingency

    size = int(max(trained.max(), live.max())) + 1
    counts = np.stack([np.bincount(each, minlength=size) for each in (trained, live)])
    shares = counts / counts.sum(1, keepdims=True)
    rare = shares[0] * len(live) < EXPECTED_MIN
    table = np.column_stack([counts[:, ~rare], counts[:, rare].sum(1)])
    table = table[:, table.sum(0) > 0]
    p = 1.0 if table.shape[1] < 2 else float(chi2_contingency(table).pvalue)
    return float(abs(shares[0] - shares[1]).sum() / 2), p
