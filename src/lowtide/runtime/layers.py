"""Where an exported file's time and joules go, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from lowtide.runtime.node_times import ProfiledNode, profiled_nodes
from lowtide.runtime.node_weights import BLOCKED, Shape, node_weights

CONVOLUTIONS = ("Conv", "FusedConv", "QLinearConv", "ConvInteger", "NhwcFusedConv")
PRODUCTS = ("Gemm", "MatMul", "FusedMatMul", "FusedGemm", "QGemm", "QLinearMatMul",
            "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul")  # fmt: skip
NUM_RUNS = 20  # of which the quickest counts
PARAMETERS = (".weight", ".bias")


@dataclass(frozen=True)
class Layer:
    """A node as ONNX Runtime executes it, after its optimisations.

    `module` is the torch module whose weights it has, None where it has none or lost their name.
    `energy_j` is an estimate even where the whole was measured: the share of the time times the
    joules of the whole file. `num_macs` are multiply-adds for one image. None is unknown.
    """

    name: str
    module: str | None
    op_type: str
    seconds: float  # per image
    share: float  # of the time of all layers
    energy_j: float | None  # per image
    num_macs: int | None


def layer_table(
    path: Path,
    images: np.ndarray,
    *,
    energy_j: float | None,
    num_threads: int | None,
    num_runs: int = NUM_RUNS,
) -> list[Layer]:
    """In the order of execution, for a batch of uint8 images [N, C, H, W] on the CPU.

    `energy_j`: joules per image of the whole file, None where unknown.

    Raises:
        ArtifactError: ONNX Runtime cannot open the file.
    """
    nodes = profiled_nodes(path, images, num_runs, num_threads)
    weights = node_weights(path)
    total_s = sum(node.seconds for node in nodes)
    return [
        _layer(node, weights.get(node.name, {}), node.seconds / total_s, energy_j, len(images))
        for node in nodes
    ]


def _layer(
    node: ProfiledNode,
    weights: Mapping[str, Shape],
    share: float,
    energy_j: float | None,
    num_images: int,
) -> Layer:
    return Layer(
        name=node.name,
        module=_module(weights),
        op_type=node.op_type,
        seconds=node.seconds / num_images,
        share=share,
        energy_j=None if energy_j is None else energy_j * share,
        num_macs=_num_macs(node, list(weights.values()), num_images),
    )


def _module(weights: Mapping[str, Shape]) -> str | None:
    """`net.head` of `net.head.weight_quantized`: the exporter names weights as torch does."""
    for name in weights:
        for parameter in PARAMETERS:
            module, found, _ = name.rpartition(parameter)
            if found:
                return module
    return None


def _num_macs(node: ProfiledNode, weights: Sequence[Shape], num_images: int) -> int | None:
    """Other operators than convolutions and matrix products count as 0."""
    num_outputs = prod(node.output_shape) // num_images
    if node.op_type in PRODUCTS:
        return num_outputs * node.input_shape[-1]
    if node.op_type not in CONVOLUTIONS:
        return 0
    kernel = max(weights, key=len, default=())  # [out, in / groups, height, width]
    if len(kernel) < 3:
        return None
    padded = node.output_shape[1] if node.name.endswith(BLOCKED) else kernel[0]  # channels
    return num_outputs // padded * prod(kernel)
