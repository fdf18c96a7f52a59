"""Plans for int8 tried on images that nothing was calibrated with: of the exported file, always."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from lowtide.compression.bias import bias_shifts
from lowtide.compression.calibrate import METHODS, Method, ranges
from lowtide.compression.compare import accuracy
from lowtide.compression.histogram import Histogram
from lowtide.compression.mixed import Layer, float_names, return_to_float
from lowtide.compression.quantize import Plan, write_int8
from lowtide.data.batches import ImageArrays
from lowtide.runtime.onnx_model import OnnxModel


@dataclass(frozen=True)
class Trial:
    """Writes plans to `target` and asks the file."""

    model: onnx.ModelProto  # fp32
    target: Path
    held_out: ImageArrays
    num_threads: int | None

    def accuracy(self, plan: Plan) -> float:
        write_int8(self.model, self.target, plan)
        return accuracy(OnnxModel(self.target, self.num_threads), self.held_out)


def by_method(
    trial: Trial, observed: Mapping[str, Histogram], method: Method | Literal["auto"]
) -> tuple[Method, dict[Method, float]]:
    """The method asked for, or the most accurate one, and the accuracy of each that was tried.

    A tie goes to min-max, then to entropy.
    """
    tried = METHODS if method == "auto" else (method,)
    found = {one: trial.accuracy(Plan(ranges(observed, one))) for one in tried}
    return max(tried, key=lambda one: found[one]), found


def corrected(trial: Trial, plan: Plan, reached: float, images: np.ndarray) -> tuple[Plan, float]:
    """The plan with its biases corrected if that is more accurate than `reached`, and which."""
    shifted = replace(plan, bias_shifts=bias_shifts(trial.model, plan, images))
    if (gained := trial.accuracy(shifted)) > reached:
        return shifted, gained
    return plan, trial.accuracy(plan)


def mixed(
    trial: Trial, plan: Plan, table: list[Layer], accuracy_min: float
) -> tuple[Plan, float, list[Layer]]:
    """Sensitive layers go back to float until `accuracy_min` is met, or none is left in int8."""
    reached = 0.0

    def with_floats(names: frozenset[str]) -> float:
        nonlocal reached
        reached = trial.accuracy(replace(plan, float_layers=names))
        return reached

    table = return_to_float(table, with_floats, accuracy_min)
    return replace(plan, float_layers=float_names(table)), reached, table
