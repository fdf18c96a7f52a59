"""Every candidate as one self-contained ONNX file, checked against torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from lowtide import artifacts
from lowtide.artifacts import atomic, read_json, report_path
from lowtide.compression.half import HALVES
from lowtide.compression.onnx_export import opset_of, parity, set_metadata
from lowtide.data.arrays import load_split
from lowtide.data.card import Card, load_card
from lowtide.errors import ModelError
from lowtide.models.weights import load_model
from lowtide.params import Params
from lowtide.pipeline import TRAINING, Reports, total, training_provenance
from lowtide.runtime.onnx_file import check_file
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.stages.context import StageContext
from lowtide.stages.kept_exports import export_once

FLOAT = {
    "teacher": (artifacts.TEACHER, artifacts.TEACHER_ONNX),
    "student": (artifacts.STUDENT, artifacts.STUDENT_ONNX),
}
MADE_BY: dict[str, str] = {  # the last one of TRAINING that a candidate has been through
    "teacher": "train",
    "student": "distill",
    "fp32": "prune",
    "int8": "quantize",
    **dict.fromkeys(HALVES, "quantize"),
}


def run(params: Params, context: StageContext) -> dict[str, Any]:
    metadata = {
        name: candidate_metadata(name, load_card(artifacts.DATA), _making()) for name in MADE_BY
    }
    candidates = {
        name: _export_float(source, target, params, metadata[name])
        for name, (source, target) in FLOAT.items()
    }
    _copy(artifacts.PRUNED_ONNX, artifacts.MODEL_FP32)
    candidates["fp32"] = _checked(artifacts.PRUNED, artifacts.MODEL_FP32, params, metadata["fp32"])
    _copy(artifacts.QUANTIZED, artifacts.MODEL_INT8)
    candidates["int8"] = _finish(artifacts.PRUNED, artifacts.MODEL_INT8, metadata["int8"])
    chosen = read_json(report_path("quantize"))["model"]
    _copy(artifacts.HALF, artifacts.MODEL_HALF)
    if chosen in HALVES:
        candidates[chosen] = _finish(artifacts.PRUNED, artifacts.MODEL_HALF, metadata[chosen])
    for entry in candidates.values():
        context.run.log_artifact(Path(entry["path"]), "models")
    return {
        "model": chosen,
        "model_path": candidates[chosen]["path"],
        "opset": candidates[chosen]["opset"],
        "preprocessing": params.export.preprocessing,
        "candidates": candidates,
    }


def _making() -> Reports:
    return {stage: read_json(report_path(stage)) for stage in TRAINING}


def _export_float(
    source: Path, target: Path, params: Params, metadata: Mapping[str, str]
) -> dict[str, Any]:
    model, spec = load_model(source)
    export_once(model, spec, target, params)
    return _checked(source, target, params, metadata)


def _checked(
    source: Path, target: Path, params: Params, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """`_finish`, and a float file must agree with torch within the tolerance."""
    entry = _finish(source, target, metadata)
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


def _finish(source: Path, target: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Write the metadata, check the file as it is checked before it is served, compare it with
    torch on the validation images, describe it."""
    set_metadata(target, metadata)
    check_file(target)
    model, _ = load_model(source)
    images = load_split(artifacts.DATA, "val").images
    difference, agreement = parity(model, OnnxModel(target).logits(images), images)
    return {
        "path": str(target),
        "size_bytes": target.stat().st_size,
        "opset": opset_of(onnx.load(target)),
        "largest_difference": difference,
        "agreement": agreement,
    }


def candidate_metadata(name: str, card: Card, reports: Reports) -> dict[str, str]:
    """What a file says about itself, beside its preprocessing and opset: labels, data, making.

    Energy and emissions are of all the stages that the candidate has been through; `unknown` where
    one of them is.
    """
    stages = TRAINING[: TRAINING.index(MADE_BY[name]) + 1]
    provenance = training_provenance(reports, stages)
    figures = {key: total(reports, key, stages) for key in ("energy_kwh", "emissions_g")}
    return {
        "lowtide.candidate": name,
        "lowtide.labels": json.dumps(list(card.class_names)),
        "lowtide.data_sha256": card.sha256,
        "lowtide.commit": reports["train"]["provenance"]["commit"] or "unknown",
        **{
            f"lowtide.training_{key}": "unknown" if value is None else f"{value:.6g}"
            for key, value in figures.items()
        },
        "lowtide.training_energy_provenance": provenance["energy"],
        "lowtide.training_intensity": f"{provenance['intensity']}, {provenance['clock']} clock",
    }
