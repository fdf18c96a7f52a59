"""Which layers stay float: those that int8 slows down, and those that cost too much accuracy."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

import numpy as np
import onnx
import torch

from lowtide.compression.activations import activations
from lowtide.compression.calibrate import Ranges
from lowtide.compression.quantize import Plan, quantized
from lowtide.runtime.onnx_model import OUTPUT

CLEARLY = 1.2


@dataclass(frozen=True)
class Layer:
    name: str
    sensitivity: float | None  # nats: divergence of the answers if this layer alone is int8
    float_s: float | None  # of one call on the measured batch; None: not timed
    int8_s: float | None
    precision: Literal["int8", "float"] = "int8"
    why: str = "gains time"

    @property
    def gain_s(self) -> float | None:
        return None if self.float_s is None or self.int8_s is None else self.float_s - self.int8_s


def table(
    names: Sequence[str],
    seconds: Mapping[str, Mapping[str, float]],
    sensitivity: Mapping[str, float],
) -> list[Layer]:
    """One entry a layer; those that int8 slows down stay float.

    seconds: by file, `float` and `int8`, and by layer; what a profile does not show is absent.
    """
    return [
        _by_time(
            Layer(
                name, sensitivity.get(name), seconds["float"].get(name), seconds["int8"].get(name)
            )
        )
        for name in names
    ]


def _by_time(layer: Layer) -> Layer:
    if layer.gain_s is None:
        return replace(layer, why="not timed: taken as gaining")
    if layer.gain_s <= 0:
        return replace(layer, precision="float", why="int8 is slower here")
    return layer


def int8_but(layers: Iterable[Layer], left_float: frozenset[str]) -> list[Layer]:
    """What int8 slows down is int8 all the same, as its neighbours are, but for those named."""
    return [
        replace(one, precision="int8", why="slower alone, but a change of precision costs more")
        if one.precision == "float" and one.name not in left_float
        else one
        for one in layers
    ]


def clearly_slower(layers: Iterable[Layer]) -> frozenset[str]:
    """Those that stay float since int8 takes `CLEARLY` times as long or longer."""
    return frozenset(
        one.name
        for one in layers
        if one.precision == "float" and one.float_s and (one.int8_s or 0) >= CLEARLY * one.float_s
    )


def float_names(layers: Iterable[Layer]) -> frozenset[str]:
    return frozenset(layer.name for layer in layers if layer.precision == "float")


def sensitivities(
    model: onnx.ModelProto, ranges: Ranges, names: Sequence[str], tried: Sequence[str],
    images: np.ndarray,
) -> dict[str, float]:  # fmt: skip
    """Mean Kullback-Leibler divergence, in nats, from the float answers with one layer in int8.

    names: all layers; tried: those that get a figure, one session of the runtime each.
    """
    true = _log_probabilities(model, images)
    found = {}
    for name in tried:
        others = frozenset(names) - {name}
        coded = _log_probabilities(quantized(model, Plan(ranges, others)), images)
        found[name] = float((np.exp(true) * (true - coded)).sum(1).mean())
    return found


def _log_probabilities(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    batches = activations(model, [OUTPUT], images)
    logits = torch.from_numpy(np.concatenate([one[OUTPUT] for one in batches]))
    answers: np.ndarray = logits.log_softmax(1).numpy()
    return answers


def return_to_float(
    layers: Sequence[Layer],
    accuracy: Callable[[frozenset[str]], float],
    accuracy_min: float,
) -> list[Layer]:
    """Layers go back to float, the most divergence per second saved first, until it is accurate.

    Where no layer is timed the most sensitive one is first. accuracy: of the exported file with the
    named layers in float.
    """
    left = list(layers)
    order = sorted(
        (layer for layer in layers if layer.precision == "int8"),
        key=lambda layer: (_divergence_per_second(layer), layer.sensitivity or 0.0),
        reverse=True,
    )
    for layer in order:
        place = left.index(layer)
        left[place] = replace(layer, precision="float", why="too sensitive for what it gains")
        if accuracy(float_names(left)) >= accuracy_min:
            break
    return left


def _divergence_per_second(layer: Layer) -> float:
    if layer.sensitivity is None:
        return 0.0
    return layer.sensitivity / layer.gain_s if layer.gain_s and layer.gain_s > 0 else inf
