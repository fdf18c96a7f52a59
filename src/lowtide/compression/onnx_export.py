"""torch -> ONNX: one self-contained file that takes raw uint8 pixels, with its metadata inside."""

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lowtide.artifacts import atomic
from lowtide.errors import ModelError, first_line
from lowtide.runtime.onnx_model import INPUT, OUTPUT


def export_onnx(
    model: nn.Module, input_shape: tuple[int, int, int], path: Path, *, opset: int
) -> None:
    """Write `model` as fp32 ONNX: uint8 [N, C, H, W] named `image` -> float32 [N, K] `logits`.

    Batch norms are folded into the convolutions; N is dynamic.

    Raises:
        ModelError: torch cannot export it, or the result is not valid ONNX.
    """
    example = torch.zeros(2, *input_shape, dtype=torch.uint8)
    with atomic(path) as temporary:
        raw = temporary.with_suffix(".raw")
        try:
            _torch_export(model.cpu().eval(), example, raw, opset)
            _fold(raw, temporary)
        finally:
            raw.unlink(missing_ok=True)


def _torch_export(model: nn.Module, example: torch.Tensor, path: Path, opset: int) -> None:
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (example,),
                str(path),
                dynamo=True,
                external_data=False,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ModelError(f"the model cannot be exported to ONNX: {first_line(error)}") from error
    finally:
        quiet.setLevel(level)


def _fold(source: Path, target: Path) -> None:
    """Constant folding and conv + batch norm fusion, in standard operators only; checked."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"ONNX Runtime refuses the exported graph: {first_line(error)}") from error
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(target), strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the exported graph is not valid ONNX: {first_line(error)}") from error
    onnx.save(model, target)


def set_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Put key-value pairs into the file's metadata_props (labels, provenance, ...)."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(metadata))
    with atomic(path) as temporary:
        onnx.save(model, temporary)


def parity(model: nn.Module, logits: np.ndarray, images: np.ndarray) -> tuple[float, float]:
    """(largest |difference| of logits, share of equal answers) between torch and given logits.

    The difference is in units of the largest logit, if that is above 1: rounding grows with it.
    images: uint8 [N, C, H, W]; logits: float32 [N, K] from the exported file.
    """
    model.eval()
    with torch.no_grad():
        batches = torch.split(torch.from_numpy(np.array(images)), 256)
        reference = torch.cat([model(batch) for batch in batches]).numpy()
    agreement = float((reference.argmax(1) == logits.argmax(1)).mean())
    scale = max(1.0, float(np.abs(reference).max()))
    return float(np.abs(reference - logits).max()) / scale, agreement
