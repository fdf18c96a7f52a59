"""Which multiples of channels the runtime executes well: measured on small convolutions.

A kernel works on blocks of channels (of 8 or 16 floats, of 4 to 32 int8): a width beside them costs
as much as the next whole block, or more. How large a block is, the machine tells.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from lowtide.runtime.onnx_model import INPUT, OUTPUT, OnnxModel

CHANNELS = {4: (36, 60), 8: (40, 56), 16: (48,), 32: (32, 64)}  # by power of 2, 48 on average
TOLERANCE = 0.1  # slower per multiply-add than the best multiple
NUM_LAYERS = 3  # 3x3 convolutions, one behind the other
SIDE, BATCH = 8, 16  # pixels and images
NUM_TURNS = 20
OPSET = 20
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # there is nothing to fold or fuse


@dataclass(frozen=True)
class Rounding:
    """`multiple` that channels stay; seconds per multiply-add by multiple and type, if measured."""

    multiple: int
    seconds_per_mac: dict[str, dict[int, float]] | None


def measure_rounding() -> Rounding:
    """The smallest multiple that is not much slower than the best, neither in float nor in int8."""
    found = _seconds_per_mac()
    return Rounding(choose_multiple(found), found)


def choose_multiple(seconds: Mapping[str, Mapping[int, float]]) -> int:
    """`seconds` per multiply-add, by type and multiple."""
    return next(
        multiple
        for multiple in sorted(CHANNELS)
        if all(of[multiple] <= (1 + TOLERANCE) * min(of.values()) for of in seconds.values())
        or multiple == max(CHANNELS)
    )


def _seconds_per_mac() -> dict[str, dict[int, float]]:
    """The models take turns, so that drift cancels; the least of a model's turns counts."""
    with _convolutions() as models:
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
    on_cpu = model.runtime.provider == "CPUExecutionProvider"
    now = time.thread_time if on_cpu else time.perf_counter
    images = np.ones((BATCH, channels, SIDE, SIDE), np.float32)
    started = now()
    model.run(images)
    return (now() - started) / (NUM_LAYERS * BATCH * 9 * (channels * SIDE) ** 2)


@contextmanager
def _convolutions() -> Iterator[dict[tuple[str, int], OnnxModel]]:
    """Opened in the runtime, by type and number of channels."""
    models: dict[tuple[str, int], OnnxModel] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for counts in CHANNELS.values():
            for channels in counts:
                source, target = folder / f"{channels}.onnx", folder / f"{channels}.int8.onnx"
                _write(source, channels)
                _quantize(source, target, channels)
                models["float", channels] = OnnxModel(source, num_threads=1)
                models["int8", channels] = OnnxModel(target, num_threads=1)
        yield models


def _write(path: Path, channels: int) -> None:
    """Convolutions with ReLUs on float32 [N, channels, SIDE, SIDE]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    nodes, weights, name = [], [], INPUT
    for index in range(NUM_LAYERS):
        values = random.normal(size=(channels, channels, 3, 3)) / (3 * channels**0.5)
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"weight{index}"))
        output = OUTPUT if index == NUM_LAYERS - 1 else f"relu{index}"
        nodes += [
            helper.make_node("Conv", [name, f"weight{index}"], [f"conv{index}"], pads=[1] * 4),
            helper.make_node("Relu", [f"conv{index}"], [output]),
        ]
        name = output
    shape: list[str | int | None] = ["batch", channels, SIDE, SIDE]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in (INPUT, OUTPUT)]
    graph = helper.make_graph(nodes, "convolutions", ends[:1], ends[1:], weights)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, PREPARED)
    onnx.save(model, path)


class _Noise:
    """Calibration images of float32, once."""

    def __init__(self, channels: int) -> None:
        shape = (BATCH, channels, SIDE, SIDE)
        self._batches = iter([np.random.default_rng(1).normal(size=shape).astype(np.float32)])

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _quantize(source: Path, target: Path, channels: int) -> None:
    from onnxruntime import quantization as ort

    ort.quantize_static(
        str(source), str(target), _Noise(channels), quant_format=ort.QuantFormat.QDQ,
        per_channel=True, activation_type=ort.QuantType.QUInt8, weight_type=ort.QuantType.QInt8,
    )  # fmt: skip
