"""ONNX files made without torch, in no time."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_classifier(
    path: Path, *, channels: int = 3, side: int = 8, width: int = 16, batch: str | int = "n"
) -> Path:
    """uint8 `pixels` [N, channels, side, side] -> convolution, ReLU, mean, 4 logits."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(width, channels, 3, 3)).astype(np.float32)
    head = generator.normal(size=(width, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("Conv", ["float", "kernel"], ["wide"], pads=[1] * 4, name="conv"),
        helper.make_node("Relu", ["wide"], ["positive"], name="relu"),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "head"], ["scores"], name="head"),
    ]
    shape = [batch, channels, side, side]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 4])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(head, "head")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
