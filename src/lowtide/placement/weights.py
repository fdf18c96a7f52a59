"""Shares as whole numbers that add up."""

from collections.abc import Sequence

import numpy as np

WHOLE = 1000


def whole_weights(shares: Sequence[float] | np.ndarray, total: int = WHOLE) -> list[int]:
    """By largest remainder: each at most 1 / total off its share, in all exactly `total`."""
    exact = np.asarray(shares, dtype=float) * total
    weights = np.floor(exact + 1e-9).astype(int)
    left = total - int(weights.sum())
    weights[np.argsort(weights - exact, kind="stable")[:left]] += 1
    return [int(weight) for weight in weights]
