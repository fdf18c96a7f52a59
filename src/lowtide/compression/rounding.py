"""Which multiples of channels the runtime executes well: measured on small convolutions.

A kernel works on blocks of channels (of 8 or 16 floats, of 4 to 32 int8): a width beside them costs
as much as the next whole block, or more. How large a block is, the machine tells.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import mean

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lowtide.compression.calibrate import observe, ranges
from lowtide.compression.quantize import Plan, quantized
from lowtide.runtime.onnx_model import CPU, INPUT, OUTPUT, OnnxModel, Provider

CHANNELS = {4: (36, 60), 8: (40, 56), 16: (48,), 32: (32, 64)}  # by power of 2, 48 on average
TOLERANCE = 0.1  # slower per multiply-add than the best multiple
NUM_LAYERS = 3  # 3x3 convolutions, one behind the other
SIDE, BATCH = 8, 16  # pixels and images
NUM_TURNS = 20
OPSET = 20


@dataclass(frozen=True)
class Rounding:
    """`multiple` that channels stay; seconds per multiply-add by multiple and type, if measured."""

    multiple: int
    seconds_per_mac: dict[str, dict[int, float]] | None


def measure_rounding(provider: Provider) -> Rounding:
    """The smallest multiple that is not much slower than the best, neither in float nor in int8."""
    found = _seconds_per_mac(provider)
    return Rounding(choose_multiple(found), found)


def choose_multiple(seconds: Mapping[str, Mapping[int, float]]) -> int:
    """`seconds` per multiply-add, by type and multiple."""
    return next(
        multiple
        for multiple in sorted(CHANNELS)
        if all(of[multiple] <= (1 + TOLERANCE) * min(of.values()) for of in seconds.values())
        or multiple == max(CHANNELS)
    )


def _seconds_per_mac(provider: Provider) -> dict[str, dict[int, float]]:
    """The models take turns, so that drift cancels; the least of a model's turns counts."""
    with _convolutions(provider) as models:
        turns = [{key: _turn(models[key], key[1]) for key in models} for _ in range(NUM_TURNS)]
    return {
        kind: {
            multiple: mean(min(turn[kind, count] for turn in turns) for count in counts)
            for multiple, counts in CHANNELS.items()
        }
        for kind in ("float", "int8")
    }


def _turn(model: OnnxModel, channels: int) -> float:
    """Seconds per multiply-add of one call; on a CPU those of its one thread, whatever else runs
    on the machine."""
    on_cpu = model.runtime.provider == CPU
    now = time.thread_time if on_cpu else time.perf_counter
    images = np.ones((BATCH, channels, SIDE, SIDE), np.float32)
    started = now()
    model.run(images)
    return (now() - started) / (NUM_LAYERS * BATCH * 9 * (channels * SIDE) ** 2)


@contextmanager
def _convolutions(provider: Provider) -> Iterator[dict[tuple[str, int], OnnxModel]]:
    """Opened in the runtime, by type and number of channels."""
    models: dict[tuple[str, int], OnnxModel] = {}
    with tempfile.TemporaryDirectory() as folder:
        for channels in chain.from_iterable(CHANNELS.values()):
            in_float = _float_model(channels)
            for kind, model in (("float", in_float), ("int8", _int8_model(in_float, channels))):
                path = Path(folder) / f"{channels}.{kind}.onnx"
                onnx.save(model, path)
                models[kind, channels] = OnnxModel(path, num_threads=1, provider=provider)
        yield models


def _float_model(channels: int) -> onnx.ModelProto:
    """Convolutions with ReLUs on float32 [N, channels, SIDE, SIDE]."""
    random = np.random.default_rng(0)
    nodes, weights, name = [], [], INPUT
    for index in range(NUM_LAYERS):
        conv, weight = f"conv{index}", f"weight{index}"
        values = random.normal(size=(channels, channels, 3, 3)) / (3 * channels**0.5)
        weights.append(numpy_helper.from_array(values.astype(np.float32), weight))
        output = OUTPUT if index == NUM_LAYERS - 1 else f"relu{index}"
        nodes += [
            helper.make_node("Conv", [name, weight], [conv], conv, pads=[1] * 4),
            helper.make_node("Relu", [conv], [output], output),
        ]
        name = output
    shape: list[str | int | None] = ["batch", channels, SIDE, SIDE]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in (INPUT, OUTPUT)]
    graph = helper.make_graph(nodes, "convolutions", ends[:1], ends[1:], weights)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def _int8_model(model: onnx.ModelProto, channels: int) -> onnx.ModelProto:
    """In the ranges that noise reaches."""
    noise = np.random.default_rng(1).normal(size=(BATCH, channels, SIDE, SIDE)).astype(np.float32)
    return quantized(model, Plan(ranges(observe(model, noise), "minmax")))
