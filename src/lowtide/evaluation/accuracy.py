"""Accuracy figures from predictions."""

import numpy as np


def recall_per_class(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> list[float]:
    """Share of each class's images that were named right; integer arrays [N]."""
    return [float((predicted[labels == k] == k).mean()) for k in range(num_classes)]
