"""Static int8 in the QDQ format: weights per channel, activations in calibrated ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import numpy_helper

from lowtide.artifacts import atomic
from lowtide.compression.calibrate import Ranges
from lowtide.compression.layers import BETWEEN, LAYERS, layers, left_float


@dataclass(frozen=True)
class Plan:
    """What an int8 file is made with.

    Weights of 7 bits take as long as those of 8: processors without VNNI add two products of 8 bits
    in 16, where large ones saturate (ONNX Runtime, "Quantize ONNX models", on U8S8).
    """

    ranges: Ranges
    float_layers: frozenset[str] = frozenset()
    bias_shifts: Mapping[str, np.ndarray] = field(default_factory=dict)  # by int8 layer, [channels]
    weight_bits: Literal[7, 8] = 8


def write_int8(model: onnx.ModelProto, target: Path, plan: Plan) -> None:
    """Write the int8 version of an fp32 graph."""
    with atomic(target) as temporary:
        onnx.save(quantized(model, plan), temporary)


def quantized(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """uint8 activations and int8 weights, between QuantizeLinear and DequantizeLinear nodes."""
    from onnxruntime import quantization as ort

    int8_layers = {node.name for node in layers(model)} - plan.float_layers
    low_high = {
        name: (np.float32(low), np.float32(high)) for name, (low, high) in plan.ranges.items()
    }
    quantizer = ort.QDQQuantizer(
        _shifted(model, plan),
        per_channel=True,
        reduce_range=plan.weight_bits == 7,
        weight_qType=ort.QuantType.QInt8,
        activation_qType=ort.QuantType.QUInt8,
        tensors_range=ort.TensorsData(ort.CalibrationMethod.MinMax, low_high),
        nodes_to_quantize=[],
        nodes_to_exclude=left_float(model, int8_layers),
        op_types_to_quantize=sorted(LAYERS | BETWEEN),
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()  # its new nodes stand at the end of the graph
    done: onnx.ModelProto = quantizer.model.model
    return done


def _shifted(model: onnx.ModelProto, plan: Plan) -> onnx.ModelProto:
    """A copy whose int8 layers have their biases corrected."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in copy.graph.initializer}
    for node in layers(copy):
        shift = plan.bias_shifts.get(node.name)
        if shift is not None and node.name not in plan.float_layers:
            bias = tensors[node.input[2]]
            bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + shift, bias.name))
    return copy
