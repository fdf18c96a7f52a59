"""The pruned student in int8 or 16 bits, where this runtime gains by it and the answers stay."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from lowtide import artifacts
from lowtide.compression.calibrate import METHODS, observe, ranges
from lowtide.compression.compare import accuracy, compare
from lowtide.compression.half import HALVES, write_half
from lowtide.compression.keep import Candidate, cheapest, refused
from lowtide.compression.layer_times import layer_times
from lowtide.compression.layers import layers
from lowtide.compression.mixed import Layer, float_names, sensitivities, table
from lowtide.compression.quantize import Plan
from lowtide.compression.trial import Trial, by_method, corrected, mixed, narrowed, settled
from lowtide.data.arrays import drawn, load_split
from lowtide.errors import ModelError
from lowtide.models.weights import load_model
from lowtide.params import Params
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.stages.context import StageContext
from lowtide.stages.kept_exports import export_once

PROBED_IMAGES = 256  # at most so many for what takes a session of the runtime a layer


def run(params: Params, context: StageContext) -> dict[str, Any]:
    recipe, num_threads = params.quantize, params.evaluate.num_threads
    held_out = load_split(artifacts.DATA, "val")
    calibration = _calibration_images(params, context)
    trial = Trial(_exported(params), artifacts.QUANTIZED, held_out, num_threads)
    fp32 = accuracy(OnnxModel(artifacts.PRUNED_ONNX, num_threads), held_out)
    accuracy_min = fp32 - recipe.val_accuracy_drop_max

    observed = observe(trial.model, calibration)
    first = METHODS[0] if recipe.method == "auto" else recipe.method
    found = _layer_table(params, trial, Plan(ranges(observed, first)))
    method, methods = by_method(trial, observed, recipe.method, float_names(found))
    plan = Plan(ranges(observed, method), float_names(found))
    reached = methods[method]
    trial.write(plan)
    if reached < accuracy_min:
        plan, reached = narrowed(trial, plan, reached)
    if reached < accuracy_min:
        plan, reached = corrected(trial, plan, reached, calibration[:PROBED_IMAGES])
    if reached < accuracy_min:
        plan, reached, found = mixed(trial, plan, found, accuracy_min)
    candidates = _candidates(params, trial, fp32)
    if plan.float_layers.issuperset(node.name for node in layers(trial.model)):
        candidates["int8"] = replace(candidates["int8"], kept=False, why="no layer gains by int8")
    for name, one in candidates.items():
        context.say(f"{name} {'is kept' if one.kept else 'is not kept'}: {one.why}")
    return {
        "model": cheapest(candidates),
        "accuracy": reached,
        "accuracy_split": "val",
        "accuracy_fp32": fp32,
        "accuracy_drop": fp32 - reached,
        "kept": candidates["int8"].kept,
        "why": candidates["int8"].why,
        "times_less": candidates["int8"].times_less,
        "num_calibration_images": len(calibration),
        "method": method,
        "methods": methods,
        "weight_bits": plan.weight_bits,
        "bias_corrected": bool(plan.bias_shifts),
        "layers_kept_float": sorted(plan.float_layers),
        "layers": [{**asdict(layer), "gain_s": layer.gain_s} for layer in found],
        "half": {name: asdict(candidates[name]) for name in HALVES},
    }


def _exported(params: Params) -> onnx.ModelProto:
    model, spec = load_model(artifacts.PRUNED)
    path = artifacts.PRUNED_ONNX
    export_once(model, spec, path, params)
    return onnx.load(path)


def _calibration_images(params: Params, context: StageContext) -> np.ndarray:
    """Training images, so that nothing is fitted to those that accuracy is taken on."""
    train = load_split(artifacts.DATA, "train")
    chosen = drawn(train, params.quantize.calibration_images, params.seed)
    if len(np.unique(chosen.labels)) == 1:
        context.say(
            f"all {len(chosen.labels)} calibration images are of one class: ranges may not fit the "
            "others; raise quantize.calibration_images"
        )
    return chosen.images


def _layer_table(params: Params, trial: Trial, plan: Plan) -> list[Layer]:
    """What each layer gains and costs in int8; the plan has none in float."""
    names = [node.name for node in layers(trial.model)]
    images = trial.held_out.images[:PROBED_IMAGES]
    trial.write(plan)
    batch = np.resize(images, (params.evaluate.batch_size, *images.shape[1:]))
    paths = {"float": artifacts.PRUNED_ONNX, "int8": trial.target}
    seconds = layer_times(trial.model, paths, batch, trial.num_threads)
    slowest = sorted(names, key=lambda name: seconds["float"].get(name, 0), reverse=True)
    tried = slowest[: params.quantize.sensitivity_layers]
    measured = sensitivities(trial.model, plan.ranges, names, tried, images)
    return settled(trial, plan, table(names, seconds, measured), batch)


def _candidates(params: Params, trial: Trial, fp32: float) -> dict[str, Candidate]:
    """Each lower precision on this runtime; the better of the 16-bit files stays."""
    with tempfile.TemporaryDirectory() as folder:
        halves, unconverted = _halves(trial.model, Path(folder))
        found = compare(
            artifacts.PRUNED_ONNX, {"int8": trial.target, **halves}, trial.held_out,
            accuracy_fp32=fp32, drop_max=params.quantize.val_accuracy_drop_max,
            batch_size=params.evaluate.batch_size, num_threads=trial.num_threads,
            provider=params.evaluate.provider,
        )  # fmt: skip
        best = max(
            halves, key=lambda name: (found[name].kept, found[name].times_less or 0), default=None
        )
        with artifacts.atomic(artifacts.HALF) as temporary:
            path = artifacts.PRUNED_ONNX if best is None else halves[best]
            temporary.write_bytes(path.read_bytes())
    return found | unconverted


def _halves(model: onnx.ModelProto, folder: Path) -> tuple[dict[str, Path], dict[str, Candidate]]:
    """Paths of the 16-bit files, and what is said of those that cannot be made."""
    paths: dict[str, Path] = {}
    unconverted: dict[str, Candidate] = {}
    for name in HALVES:
        try:
            write_half(model, folder / f"{name}.onnx", name)
            paths[name] = folder / f"{name}.onnx"
        except ModelError as error:
            unconverted[name] = refused(str(error))
    return paths, unconverted
