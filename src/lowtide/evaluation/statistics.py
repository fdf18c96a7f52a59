"""What can be said of accuracy from so many test images; paired where two models saw the same."""

from dataclasses import dataclass

import numpy as np

BINS = 15  # of confidence
RESAMPLES = 2000


@dataclass(frozen=True)
class PairedDrop:
    """Accuracy of the reference minus accuracy of the candidate, with an interval.

    lost, won: images that the reference alone, and the candidate alone, named right. p_value: of
    both being equally accurate.
    """

    drop: float
    low: float
    high: float
    p_value: float
    lost: int
    won: int


def paired_drop(
    reference: np.ndarray, candidate: np.ndarray, labels: np.ndarray, confidence: float
) -> PairedDrop:
    """Of integer arrays [N]: named by both, and right."""
    before, after = reference == labels, candidate == labels
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    both = int((before & after).sum())
    low, high = _newcombe(both, lost, won, len(labels), confidence)
    return PairedDrop((lost - won) / len(labels), low, high, mcnemar_mid_p(lost, won), lost, won)


def mcnemar_mid_p(lost: int, won: int) -> float:
    """Two-sided McNemar test of paired proportions, mid-p: exact, and not as timid on few images
    (Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91, 2013)."""
    from scipy.stats import binom

    num, fewer = lost + won, min(lost, won)
    if lost == won:
        return 1.0 - (0.5 * float(binom.pmf(fewer, num, 0.5)) if num else 0.0)
    return float(2 * binom.cdf(fewer, num, 0.5) - binom.pmf(fewer, num, 0.5))


def _newcombe(
    both: int, lost: int, won: int, num_images: int, confidence: float
) -> tuple[float, float]:
    """Interval of a difference of paired proportions: Newcombe's method 10, Wilson's intervals
    squared and added (Statistics in Medicine 17:2635, 1998). Unlike Wald's and the bootstrap's it
    has a width where the two never differ."""
    before, after = both + lost, both + won
    p, q = before / num_images, after / num_images
    (l1, u1), (l2, u2) = (_wilson(k, num_images, confidence) for k in (before, after))
    phi = _correlation(both, lost, won, num_images - both - lost - won)
    down = (p - l1) ** 2 - 2 * phi * (p - l1) * (u2 - q) + (u2 - q) ** 2
    up = (u1 - p) ** 2 - 2 * phi * (u1 - p) * (q - l2) + (q - l2) ** 2
    return p - q - max(down, 0.0) ** 0.5, p - q + max(up, 0.0) ** 0.5


def _wilson(num_right: int, num_images: int, confidence: float) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(num_right, num_images).proportion_ci(confidence, "wilson")
    return float(interval.low), float(interval.high)


def _correlation(both: int, lost: int, won: int, neither: int) -> float:
    """Phi of the table, with Newcombe's correction for continuity; 0 where a margin is empty."""
    margins = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    if margins == 0:
        return 0.0
    surplus = both * neither - lost * won
    corrected = max(surplus - (both + lost + won + neither) / 2, 0) if surplus > 0 else surplus
    return float(corrected / margins**0.5)


def mean_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Bootstrap percentile interval of the mean of values [N], the same for the same values."""
    from scipy.stats import bootstrap

    found = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=100, confidence_level=confidence,
        method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: how far confidence [N] is off the share that is right, bin by
    bin (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)."""
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    off = np.bincount(np.digitize(confidence, edges), confidence - right, minlength=BINS)
    return float(np.abs(off).sum() / len(right))
