"""Ranges of activations from calibration images, in memory that does not grow with their number."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnx

from lowtide.compression.activations import activations
from lowtide.compression.histogram import Histogram
from lowtide.compression.layers import quantized_tensors
from lowtide.errors import DataError, ModelError

Method = Literal["minmax", "entropy", "percentile"]
METHODS: tuple[Method, ...] = ("minmax", "entropy", "percentile")
Ranges = Mapping[str, tuple[float, float]]

PERCENTILE = 99.99  # of the values stay inside; what is left out is shared by both ends
LEVELS = 256
STRIDE = 16  # bins between two thresholds that are tried


def observe(model: onnx.ModelProto, images: np.ndarray) -> dict[str, Histogram]:
    """A histogram of each activation that int8 would hold, over uint8 images [N, C, H, W].

    Raises:
        DataError: the images are one colour throughout: no range follows from them.
        ModelError: an activation is NaN, infinite or 0 for all images; names it.
    """
    if images.min() == images.max():
        raise DataError(
            f"all pixels of the {len(images)} calibration images are {int(images.min())}: no range "
            "of activations follows from them; give images like those that will be served"
        )
    tensors = quantized_tensors(model)
    found = {name: Histogram() for name in tensors}
    for batch in activations(model, tensors, images):
        for name, values in batch.items():
            found[name].add(values)
    for name, histogram in found.items():
        _check(model, name, histogram, len(images))
    return found


def _check(model: onnx.ModelProto, name: str, histogram: Histogram, num_images: int) -> None:
    node = next((one.name for one in model.graph.node if name in one.output), "the input")
    where = f"activation {name} of layer {node}"
    if math.isnan(histogram.low):
        raise ModelError(
            f"{where} is NaN or infinite for a calibration image, so no scale fits it: train "
            "again, with a lower learning rate if it diverged"
        )
    if histogram.low == histogram.high == 0:
        raise ModelError(
            f"{where} is 0 for all {num_images} calibration images, so its scale would be 0: "
            "raise quantize.calibration_images, or remove the layer, which does nothing"
        )


def ranges(observed: Mapping[str, Histogram], method: Method) -> Ranges:
    """(low, high) of each tensor; 0 is always inside, as int8 needs it."""
    return {name: _range(histogram, method) for name, histogram in observed.items()}


def _range(histogram: Histogram, method: Method) -> tuple[float, float]:
    if method == "minmax":
        low, high = histogram.low, histogram.high
    elif method == "percentile":
        low, high = _percentiles(histogram)
    else:
        num_bins = _least_divergence(histogram.magnitudes, 1 if histogram.low >= 0 else 2)
        reach = num_bins * 2 * histogram.reach / len(histogram.counts)
        low, high = max(-reach, histogram.low), min(reach, histogram.high)
    return min(low, 0.0), max(high, 0.0)


def _percentiles(histogram: Histogram) -> tuple[float, float]:
    shares = np.cumsum(histogram.counts) / histogram.counts.sum()
    outside = (1 - PERCENTILE / 100) / 2
    first, last = np.searchsorted(shares, [outside, 1 - outside])
    edges = histogram.edges
    return max(edges[first], histogram.low), min(edges[last + 1], histogram.high)


def _least_divergence(magnitudes: np.ndarray, num_sides: int) -> int:
    """Bins of |value| to keep so that the quantized distribution diverges least from the true one.

    Szymon Migacz, "8-bit Inference with TensorRT", GTC 2017. The first bin is left out: after a
    ReLU it holds most values, exactly 0, and hides the rest.
    """
    levels = LEVELS // num_sides
    counts = np.concatenate([[0], magnitudes[1:]]).astype(float)
    largest = int(np.flatnonzero(magnitudes)[-1]) + 1
    tried: Sequence[int] = range(levels, largest + STRIDE, STRIDE)
    divergences = [_divergence(counts, min(size, len(counts)), levels) for size in tried]
    return min(tried[int(np.argmin(divergences))], largest) if divergences else largest


def _divergence(counts: np.ndarray, size: int, levels: int) -> float:
    """Kullback-Leibler, in nats, between the counts and what `levels` steps over `size` bins keep.

    What lies beyond falls on the last bin.
    """
    kept = counts[:size]
    true = kept.copy()
    true[-1] += counts[size:].sum()
    if true.sum() == 0:
        return 0.0
    starts = np.arange(levels) * size // levels
    filled = (true > 0).astype(float)
    mean = np.add.reduceat(kept, starts) / np.maximum(np.add.reduceat(filled, starts), 1)
    coded = filled * np.repeat(mean, np.diff([*starts, size]))
    p, q = true / true.sum(), np.maximum(coded / max(coded.sum(), 1), 1e-12)
    inside = p > 0
    return float((p[inside] * np.log(p[inside] / q[inside])).sum())
