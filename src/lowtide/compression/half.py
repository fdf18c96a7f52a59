"""16-bit floating point versions of an exported graph: float16 and bfloat16."""

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from lowtide.artifacts import atomic
from lowtide.compression.onnx_export import OPSET, add_metadata, opset_of
from lowtide.errors import ModelError, first_line
from lowtide.runtime.layers import CONVOLUTIONS, PRODUCTS
from lowtide.runtime.node_times import profiled_nodes

Half = Literal["float16", "bfloat16"]
HALVES: tuple[Half, ...] = ("float16", "bfloat16")
BFLOAT16_OPSET = 22  # the first in which a convolution may be of bfloat16


def write_half(model: onnx.ModelProto, target: Path, kind: Half) -> None:
    """Write an fp32 graph with its weights and activations in 16 bits; it still gives float32.

    Whether the runtime executes it shows when it is opened.

    Raises:
        ModelError: an operator of the graph cannot be converted.
    """
    try:
        half = _converted(model, kind)
    except (onnx.version_converter.ConvertError, RuntimeError, ValueError) as error:
        raise ModelError(f"the graph cannot be converted to {kind}: {first_line(error)}") from error
    add_metadata(half, {OPSET: str(opset_of(half))})
    with atomic(target) as temporary:
        onnx.save(half, temporary)


def has_kernels(path: Path, images: np.ndarray) -> bool:
    """Whether the CPU computes a layer of the file in 16 bits, for uint8 images [N, C, H, W].

    Where it has no kernel for one ONNX Runtime casts its inputs to float32, and nothing is gained.

    Raises:
        ArtifactError: ONNX Runtime cannot open the file.
    """
    nodes = profiled_nodes(path, images, 1, None)
    layers = [node for node in nodes if node.op_type in (*CONVOLUTIONS, *PRODUCTS)]
    return any(node.input_type in HALVES for node in layers)


def _converted(model: onnx.ModelProto, kind: Half) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    if kind == "bfloat16" and opset_of(model) < BFLOAT16_OPSET:
        model = onnx.version_converter.convert_version(model, BFLOAT16_OPSET)
    half: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True)
    if kind == "bfloat16":
        _to_bfloat16(half)
    return half


def _to_bfloat16(half: onnx.ModelProto) -> None:
    """Every float16 of the graph becomes a bfloat16: weights, casts and declared types."""
    import ml_dtypes

    for tensor in half.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32).astype(ml_dtypes.bfloat16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for node in half.graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.BFLOAT16
    for value in half.graph.value_info:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.BFLOAT16
