"""Plans for int8 tried on images that nothing was calibrated with: of the exported file, always."""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from lowtide.compression.bias import bias_shifts
from lowtide.compression.calibrate import METHODS, Method, ranges
from lowtide.compression.compare import accuracy
from lowtide.compression.histogram import Histogram
from lowtide.compression.keep import GAIN_MIN
from lowtide.compression.mixed import (
    Layer,
    clearly_slower,
    float_names,
    int8_but,
    return_to_float,
)
from lowtide.compression.quantize import Plan, write_int8
from lowtide.data.arrays import ImageArrays
from lowtide.runtime.onnx_model import OnnxModel, Provider
from lowtide.runtime.turns import quickest_calls

NUM_TURNS = 9


@dataclass(frozen=True)
class Trial:
    """Writes plans to `target` and asks the file, in the runtime that will serve it."""

    model: onnx.ModelProto  # fp32
    target: Path
    held_out: ImageArrays
    num_threads: int | None
    provider: Provider

    def opened(self, path: Path) -> OnnxModel:
        return OnnxModel(path, self.num_threads, provider=self.provider)

    def write(self, plan: Plan) -> None:
        write_int8(self.model, self.target, plan)

    def accuracy(self, plan: Plan) -> float:
        self.write(plan)
        return accuracy(self.opened(self.target), self.held_out)


def by_method(
    trial: Trial,
    observed: Mapping[str, Histogram],
    method: Method | Literal["auto"],
    float_layers: frozenset[str],
) -> tuple[Method, dict[Method, float]]:
    """The method asked for, or the most accurate one, and the accuracy of each that was tried.

    A tie goes to min-max, then to entropy.
    """
    tried = METHODS if method == "auto" else (method,)
    found = {one: trial.accuracy(Plan(ranges(observed, one), float_layers)) for one in tried}
    return max(tried, key=lambda one: found[one]), found


def settled(trial: Trial, plan: Plan, table: list[Layer], images: np.ndarray) -> list[Layer]:
    """The table, or with fewer layers in float where that is quicker: changes of precision cost.

    All in int8 has to be so clearly. images: the batch that is timed, uint8 [N, C, H, W].
    """
    choices = {float_names(table), clearly_slower(table), frozenset[str]()}
    if len(choices) == 1:
        return table
    seconds = _seconds(trial, plan, choices, images)
    seconds[frozenset()] *= GAIN_MIN
    return int8_but(table, min(seconds, key=lambda names: (seconds[names], -len(names))))


def _seconds(
    trial: Trial, plan: Plan, choices: Iterable[frozenset[str]], images: np.ndarray
) -> dict[frozenset[str], float]:
    """Of a call, with these layers in float."""
    with tempfile.TemporaryDirectory() as folder:
        models: dict[frozenset[str], OnnxModel] = {}
        for names in choices:
            path = Path(folder) / f"{len(models)}.onnx"
            write_int8(trial.model, path, replace(plan, float_layers=names))
            models[names] = trial.opened(path)
        return quickest_calls(models, images, NUM_TURNS)


def narrowed(trial: Trial, plan: Plan, reached: float) -> tuple[Plan, float]:
    """The plan with weights of 7 bits if that is more accurate than `reached`, and which."""
    narrow = replace(plan, weight_bits=7)
    if (gained := trial.accuracy(narrow)) > reached:
        return narrow, gained
    return plan, trial.accuracy(plan)


def corrected(trial: Trial, plan: Plan, reached: float, images: np.ndarray) -> tuple[Plan, float]:
    """The plan with its biases corrected if that is more accurate than `reached`, and which."""
    shifted = replace(plan, bias_shifts=bias_shifts(trial.model, plan, images))
    if (gained := trial.accuracy(shifted)) > reached:
        return shifted, gained
    return plan, trial.accuracy(plan)


def mixed(
    trial: Trial, plan: Plan, table: list[Layer], accuracy_min: float
) -> tuple[Plan, float, list[Layer]]:
    """Sensitive layers go back to float until `accuracy_min` is met, or none is left in int8.

    Biases that were corrected are so for other layers' sake: they are as they were.
    """
    plan = replace(plan, bias_shifts={})
    table = return_to_float(
        table,
        lambda names: trial.accuracy(replace(plan, float_layers=names)),
        accuracy_min,
    )
    plan = replace(plan, float_layers=float_names(table))
    return plan, trial.accuracy(plan), table
