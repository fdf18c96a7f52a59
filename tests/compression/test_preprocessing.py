"""What is normalised outside the graph stays so in int8."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from lowtide.compression.calibrate import observe, ranges
from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quantize import Plan, write_int8
from lowtide.runtime.onnx_model import OnnxModel


@pytest.mark.parametrize("preprocessing", ["inside", "outside"])
def test_int8_is_calibrated_on_what_the_file_takes(rig, tmp_path: Path, preprocessing: str) -> None:  # type: ignore[no-untyped-def]
    source, target = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    export_onnx(rig.model, (3, 16, 16), source, opset=20, preprocessing=preprocessing)  # type: ignore[arg-type]
    graph = onnx.load(source)
    write_int8(graph, target, Plan(ranges(observe(graph, rig.images), "minmax")))
    float_model, int8_model = OnnxModel(source, 1), OnnxModel(target, 1)
    kept = {key: int8_model.metadata.get(key) for key in float_model.metadata}
    assert kept == float_model.metadata
    reference, logits = float_model.logits(rig.images), int8_model.logits(rig.images)
    assert np.abs(logits - reference).mean() < 0.2 * reference.std()
