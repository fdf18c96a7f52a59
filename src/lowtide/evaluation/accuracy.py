"""Accuracy figures from predictions; paired where two models saw the same images."""

import numpy as np

Z95 = 1.959964


def recall_per_class(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> list[float]:
    """Share of each class's images that were named right; integer arrays [N]."""
    return [float((predicted[labels == k] == k).mean()) for k in range(num_classes)]


def paired_drop(
    reference: np.ndarray, candidate: np.ndarray, labels: np.ndarray
) -> tuple[float, float, float]:
    """(drop, low, high) of accuracy from reference to candidate, with a 95 % Wald interval.

    Paired: only images on which exactly one of the two is right carry information
    (Agresti, "Categorical Data Analysis", ch. 11).
    """
    difference = (reference == labels).astype(float) - (candidate == labels).astype(float)
    drop = float(difference.mean())
    half = Z95 * float(difference.std()) / len(labels) ** 0.5
    return drop, drop - half, drop + half
