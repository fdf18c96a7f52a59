"""Seconds of each layer in float and in int8, from the profiles of both files."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx

from lowtide.compression.layers import LAYERS, layers
from lowtide.runtime.node_times import node_times

NUM_TURNS, NUM_RUNS = 3, 3
# What ONNX Runtime fuses into the layer before, and what its passes make of a node's name.
FUSED = frozenset({"Add", "Clip", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})
RENAMED = re.compile(r"^fused |(_nchwc|_token_\d+|_MatMulAddFusion)+$")


def layer_times(
    model: onnx.ModelProto, paths: Mapping[str, Path], images: np.ndarray, num_threads: int | None
) -> dict[str, dict[str, float]]:
    """Seconds by layer for each file, for one call on uint8 images [N, C, H, W].

    The files take turns; the quickest turn counts. A layer that a profile does not show is absent.
    """
    best: dict[str, dict[str, float]] = {name: {} for name in paths}
    for _ in range(NUM_TURNS):
        for name, path in paths.items():
            seconds = by_layer(model, node_times(path, images, NUM_RUNS, num_threads))
            for layer, taken in seconds.items():
                best[name][layer] = min(taken, best[name].get(layer, taken))
    return best


def by_layer(model: onnx.ModelProto, seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds by layer from seconds by executed node.

    A fused node bears the name of its layer, or of the tensor that the last of its parts writes.
    """
    names = {node.name: node for node in model.graph.node}
    writers = {output: node for node in model.graph.node for output in node.output}
    known = {node.name for node in layers(model)}
    bare = {RENAMED.sub("", name): taken for name, taken in seconds.items()}
    found = {name: taken for name, taken in bare.items() if name in known}
    for name, taken in bare.items():
        if name not in names and name in writers:
            behind = _layers_behind(writers[name], writers)
            layer = next((one for one in behind if one in known and one not in found), None)
            if layer is not None:
                found[layer] = taken
    return found


def _layers_behind(node: onnx.NodeProto, writers: Mapping[str, onnx.NodeProto]) -> Iterator[str]:
    """Names of the layers that reach `node` through nothing but what is fused into them."""
    if node.op_type in LAYERS:
        yield node.name
    elif node.op_type in FUSED:
        for name in node.input:
            if name in writers:
                yield from _layers_behind(writers[name], writers)
