"""int8 with calibrated ranges: smaller, close to float, the stem left alone."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quantize import quantize_static
from lowtide.runtime.onnx_model import OnnxModel


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_int8_answers_like_float(rig, tmp_path: Path, method: str) -> None:  # type: ignore[no-untyped-def]
    source, target = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    export_onnx(rig.model, (3, 16, 16), source, opset=20)
    kept = quantize_static(source, target, rig.images, method)  # type: ignore[arg-type]
    assert target.stat().st_size < 0.5 * source.stat().st_size
    reference = OnnxModel(source, 1).logits(rig.images)
    logits = OnnxModel(target, 1).logits(rig.images)
    spread = reference.std()
    assert np.abs(logits - reference).mean() < 0.2 * spread
    assert len(kept) == 1

    graph = onnx.load(target).graph
    weights = {
        tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8
    }
    assert len(weights) >= 7
    stem = next(node for node in graph.node if node.name == kept[0])
    assert stem.op_type == "Conv"
    scales = [tensor for tensor in graph.initializer if "weight_scale" in tensor.name]
    assert any(len(scale.dims) == 1 and scale.dims[0] > 1 for scale in scales)
