"""Every candidate as one self-contained ONNX file, checked against torch."""

import json
from pathlib import Path
from typing import Any

from lowtide import artifacts
from lowtide.artifacts import atomic, read_json, report_path
from lowtide.compression.onnx_export import export_onnx, parity, set_metadata
from lowtide.data.batches import Card, load_card, load_split
from lowtide.errors import ModelError
from lowtide.models.weights import load_model
from lowtide.params import Params
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.stages.context import StageContext, commit

FLOAT = {
    "teacher": (artifacts.TEACHER, artifacts.TEACHER_ONNX),
    "student": (artifacts.STUDENT, artifacts.STUDENT_ONNX),
}


def run(params: Params, context: StageContext) -> dict[str, Any]:
    card = load_card(artifacts.DATA)
    candidates = {
        name: _export_float(name, source, target, params, card)
        for name, (source, target) in FLOAT.items()
    }
    _copy(artifacts.PRUNED_ONNX, artifacts.MODEL_FP32)
    candidates["fp32"] = _checked("fp32", artifacts.PRUNED, artifacts.MODEL_FP32, params, card)
    _copy(artifacts.QUANTIZED, artifacts.MODEL_INT8)
    candidates["int8"] = _finish("int8", artifacts.PRUNED, artifacts.MODEL_INT8, card)
    kept = read_json(report_path("quantize"))["kept"]
    for entry in candidates.values():
        context.run.log_artifact(Path(entry["path"]), "models")
    return {
        "model": "int8" if kept else "fp32",
        "model_path": candidates["int8" if kept else "fp32"]["path"],
        "opset": params.export.opset,
        "candidates": candidates,
    }


def _export_float(
    name: str, source: Path, target: Path, params: Params, card: Card
) -> dict[str, Any]:
    model, spec = load_model(source)
    export_onnx(model, (spec.in_channels, *spec.image_size), target, opset=params.export.opset)
    return _checked(name, source, target, params, card)


def _checked(name: str, source: Path, target: Path, params: Params, card: Card) -> dict[str, Any]:
    """`_finish`, and a float file must agree with torch within the tolerance."""
    entry = _finish(name, source, target, card)
    if entry["largest_difference"] > params.export.parity_tolerance:
        target.unlink()
        raise ModelError(
            f"{target} differs from torch by {entry['largest_difference']:.2g} of a logit, "
            f"export.parity_tolerance allows {params.export.parity_tolerance:.2g}"
        )
    return entry


def _copy(source: Path, target: Path) -> None:
    """What `quantize` has made, under the name it is published by."""
    with atomic(target) as temporary:
        temporary.write_bytes(source.read_bytes())


def _finish(name: str, source: Path, target: Path, card: Card) -> dict[str, Any]:
    """Write the metadata, compare with torch on the validation images, describe the file."""
    set_metadata(target, _metadata(name, card))
    model, _ = load_model(source)
    images = load_split(artifacts.DATA, "val").images
    difference, agreement = parity(model, OnnxModel(target).logits(images), images)
    return {
        "path": str(target),
        "size_bytes": target.stat().st_size,
        "largest_difference": difference,
        "agreement": agreement,
    }


def _metadata(name: str, card: Card) -> dict[str, str]:
    return {
        "lowtide.candidate": name,
        "lowtide.labels": json.dumps(list(card.class_names)),
        "lowtide.preprocessing": "uint8 NCHW, 0..255; normalisation is inside the graph",
        "lowtide.data_sha256": card.sha256,
        "lowtide.commit": commit() or "unknown",
    }
