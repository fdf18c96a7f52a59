"""The weights of each node that ONNX Runtime executes, under the names that the file gives them.

ONNX Runtime rewrites the graph before it runs it. Convolutions that it puts into blocks of channels
(`_nchwc`) get weights that are rearranged, padded and without a name; theirs are looked up in the
file, from the tensor that such a node is called after.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Shape = tuple[int, ...]
BLOCKED = "_nchwc"
CONVOLUTION = "Conv"
FUSED = {"Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "BatchNormalization"}


def node_weights(path: Path) -> dict[str, dict[str, Shape]]:
    """Shapes of weights by name, by the name of the node after optimisation."""
    import onnx

    source = onnx.load(path).graph
    makers = {output: node for node in source.node for output in node.output}
    in_file = _shapes(source)
    optimised = _optimised(path)
    shapes = _shapes(optimised)
    found = {}
    for node in optimised.node:
        found[node.name] = {name: shapes[name] for name in node.input if name in shapes}
        if node.op_type == CONVOLUTION and node.name.endswith(BLOCKED):
            tensor = node.name.removesuffix(BLOCKED)
            found[node.name] = _weights_behind(tensor, makers, in_file)
    return found


def _optimised(path: Path) -> Any:
    """The graph as ONNX Runtime executes it."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath).graph


def _shapes(graph: Any) -> dict[str, Shape]:
    return {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _weights_behind(
    tensor: str, makers: Mapping[str, Any], shapes: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Of the convolution that a tensor comes from, through the activations fused into it."""
    node = makers.get(tensor)
    while node is not None and node.op_type in FUSED:
        node = makers.get(node.input[0])
    if node is None or node.op_type != CONVOLUTION:
        return {}
    stored = [_stored(name, makers) for name in node.input[1:]]
    return {name: shapes[name] for name in stored if name in shapes}


def _stored(name: str, makers: Mapping[str, Any]) -> str:
    """The initializer behind a dequantization."""
    maker = makers.get(name)
    return name if maker is None or maker.op_type != "DequantizeLinear" else maker.input[0]
