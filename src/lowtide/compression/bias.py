"""Bias correction: what int8 adds to the mean of a layer's outputs is taken off its bias again.

Markus Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction", ICCV
2019, section 4.2: rounding shifts the mean of an output, channel by channel. Here the shift is
measured on calibration images (their appendix D).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx

from lowtide.compression.activations import activations
from lowtide.compression.layers import layers
from lowtide.compression.quantize import Plan, quantized


def bias_shifts(model: onnx.ModelProto, plan: Plan, images: np.ndarray) -> dict[str, np.ndarray]:
    """What to add to the bias of each int8 layer, by name: float32 [channels].

    Layer after layer, so that what an earlier correction puts right is not corrected twice. One
    session of the runtime a layer.
    """
    fixed = {tensor.name for tensor in model.graph.initializer}
    nodes = [
        node
        for node in layers(model)
        if len(node.input) > 2 and node.input[2] in fixed and node.name not in plan.float_layers
    ]
    if not nodes:
        return {}
    true = _channel_means(model, [node.output[0] for node in nodes], images)
    shifts: dict[str, np.ndarray] = {}
    for node, wanted in zip(nodes, true, strict=True):
        int8 = quantized(model, replace(plan, bias_shifts=shifts))
        output = next(one.output[0] for one in int8.graph.node if one.name == node.name)
        shifts[node.name] = wanted - _channel_means(int8, [output], images)[0]
    return shifts


def _channel_means(
    model: onnx.ModelProto, tensors: Sequence[str], images: np.ndarray
) -> list[np.ndarray]:
    """Of [N, C, ...] over all but the channels: float32 [C] for each tensor."""
    sums: dict[str, np.ndarray] = {}
    for batch in activations(model, tensors, images):
        for name, values in batch.items():
            places = values.reshape(*values.shape[:2], -1)
            sums[name] = sums.get(name, 0) + places.mean(2, dtype=np.float64).sum(0)
    return [(sums[name] / len(images)).astype(np.float32) for name in tensors]
