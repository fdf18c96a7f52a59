"""int8 in one go: what a network would take in int8, before it is worth a closer look."""

from pathlib import Path

import numpy as np
import onnx

from lowtide.compression.calibrate import observe, ranges
from lowtide.compression.quantize import Plan, write_int8


def quick_int8(source: Path, target: Path, images: np.ndarray) -> None:
    """Every layer in int8, in the ranges that uint8 images [N, C, H, W] reach.

    Weights have 7 bits: stems would saturate in 8, and that is not what is asked here.

    Raises:
        DataError, ModelError: no ranges follow from these images.
    """
    model = onnx.load(source)
    write_int8(model, target, Plan(ranges(observe(model, images), "minmax"), weight_bits=7))
