"""Static int8: weights per channel, activations calibrated on training images, QDQ format."""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from lowtide.artifacts import atomic
from lowtide.runtime.onnx_model import INPUT, OnnxModel

STEM_CHANNELS = 4  # a convolution with this few inputs loses time in int8: it stays float


class _Calibration:
    """Feeds uint8 images [N, C, H, W] to ONNX Runtime's calibrators in batches."""

    def __init__(
        self,
        images: np.ndarray,
        prepare: Callable[[np.ndarray], np.ndarray],
        batch_size: int = 64,
    ) -> None:
        self._batches = iter(
            prepare(np.ascontiguousarray(images[start : start + batch_size]))
            for start in range(0, len(images), batch_size)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def quantize_static(
    source: Path,
    target: Path,
    calibration_images: np.ndarray,
    method: Literal["minmax", "entropy", "percentile"],
) -> list[str]:
    """Write the int8 version of an fp32 ONNX file; returns the layers that stayed float."""
    from onnxruntime import quantization as ort

    methods = {
        "minmax": ort.CalibrationMethod.MinMax,
        "entropy": ort.CalibrationMethod.Entropy,
        "percentile": ort.CalibrationMethod.Percentile,
    }
    kept = _float_layers(source)
    logging.getLogger().addFilter(_no_preprocess_hint)
    try:
        with atomic(target) as temporary, tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            ort.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            ort.quantize_static(
                str(prepared),
                str(temporary),
                _Calibration(calibration_images, OnnxModel(source).prepare),
                quant_format=ort.QuantFormat.QDQ,
                op_types_to_quantize=[
                    "Conv",
                    "Gemm",
                    "MatMul",
                    "Add",
                    "MaxPool",
                    "Relu",
                    "GlobalAveragePool",
                ],
                nodes_to_exclude=kept,
                per_channel=True,
                activation_type=ort.QuantType.QUInt8,
                weight_type=ort.QuantType.QInt8,
                calibrate_method=methods[method],
            )
    finally:
        logging.getLogger().removeFilter(_no_preprocess_hint)
    return kept


def _no_preprocess_hint(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


def _float_layers(path: Path) -> list[str]:
    """Convolutions on the raw image: too few input channels for int8 to pay."""
    import onnx

    graph = onnx.load(path).graph
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and weights.get(node.input[1], (0, 99))[1] <= STEM_CHANNELS
    ]
