"""The layers of an ONNX graph that int8 can take: those that multiply by fixed weights."""

from collections.abc import Collection

import numpy as np
import onnx
from onnx import numpy_helper

from lowtide.errors import ModelError

LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
# What reads and writes int8 beside them, so that values are not converted on the way.
BETWEEN = frozenset({"Add", "MaxPool", "Relu", "GlobalAveragePool"})


def layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes with weights, in the order of the graph.

    Raises:
        ModelError: there is none, or a weight is not a finite number; names the layer.
    """
    fixed = {tensor.name: tensor for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type in LAYERS and node.input[1] in fixed]
    if not found:
        raise ModelError(
            "nothing to quantize: the exported graph has no convolution or linear layer with fixed "
            "weights"
        )
    for node in found:
        for name in node.input:
            if name in fixed and not np.isfinite(numpy_helper.to_array(fixed[name])).all():
                raise ModelError(
                    f"layer {node.name}: weight {name} holds NaN or infinity, so no scale fits it: "
                    "train again, with a lower learning rate if it diverged"
                )
    return found


def quantized_tensors(model: onnx.ModelProto) -> list[str]:
    """Activations that a fully quantized graph holds in int8, in the order of the graph."""
    fixed = {tensor.name for tensor in model.graph.initializer}
    floats = {
        value.name
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    nodes = [node for node in model.graph.node if node.op_type in LAYERS | BETWEEN]
    names = [name for node in nodes for name in (*node.input, *node.output)]
    return list(dict.fromkeys(name for name in names if name in floats - fixed))


def left_float(model: onnx.ModelProto, int8_layers: Collection[str]) -> list[str]:
    """Nodes that lose in int8 and gain nothing, or are not asked for.

    Other layers, products of two activations (as in attention), and what no int8 layer feeds.
    """
    fed: dict[str, bool] = {}  # by tensor, in the order of the graph
    left = []
    for node in model.graph.node:
        passes_on = node.op_type in BETWEEN and any(fed.get(name) for name in node.input)
        is_fed = node.name in int8_layers or passes_on
        fed.update(dict.fromkeys(node.output, is_fed))
        if node.op_type in LAYERS | BETWEEN and not is_fed:
            left.append(node.name)
    return left
