"""The pruned student in int8, calibrated on training images that were held out of training."""

from typing import Any

import numpy as np

from lowtide import artifacts
from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quantize import quantize_static
from lowtide.data.batches import load_split
from lowtide.models.weights import load_model
from lowtide.params import Params
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.stages.context import StageContext


def run(params: Params, context: StageContext) -> dict[str, Any]:
    recipe = params.quantize
    model, spec = load_model(artifacts.PRUNED)
    float_path = artifacts.PRUNED_ONNX
    export_onnx(
        model, (spec.in_channels, *spec.image_size), float_path,
        opset=params.export.opset, preprocessing=params.export.preprocessing,
    )  # fmt: skip
    held_out = load_split(artifacts.DATA, "val")
    draw = np.random.default_rng(params.seed).permutation(len(held_out.labels))
    chosen = np.sort(draw[: recipe.calibration_images])
    kept_float = quantize_static(
        float_path, artifacts.QUANTIZED, held_out.images[chosen], recipe.method
    )
    accuracy = {
        name: float((OnnxModel(path).logits(held_out.images).argmax(1) == held_out.labels).mean())
        for name, path in (("fp32", float_path), ("int8", artifacts.QUANTIZED))
    }
    drop = accuracy["fp32"] - accuracy["int8"]
    return {
        "accuracy": accuracy["int8"],
        "accuracy_split": "val",
        "accuracy_fp32": accuracy["fp32"],
        "accuracy_drop": drop,
        "kept": drop <= recipe.val_accuracy_drop_max,
        "num_calibration_images": len(chosen),
        "layers_kept_float": kept_float,
    }
