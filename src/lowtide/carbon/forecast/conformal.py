"""Bands from past errors: split conformal prediction."""

import numpy as np

COVERAGE = 0.8


def conformal_width(errors: np.ndarray, least: int) -> float:
    """Half the band that holds COVERAGE of errors such as these; NaN with fewer than `least`."""
    if len(errors) < least:
        return float("nan")
    rank = min(np.ceil((len(errors) + 1) * COVERAGE) / len(errors), 1.0)
    return float(np.quantile(np.abs(errors), rank))
