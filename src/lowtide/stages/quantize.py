"""The pruned student in int8 or 16 bits, where this runtime gains by it and the answers stay."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from lowtide import artifacts
from lowtide.compression.calibrate import METHODS, Method, observe, ranges
from lowtide.compression.compare import accuracy, compare
from lowtide.compression.half import HALVES, write_half
from lowtide.compression.keep import Compared, at_will, cheapest, drop_allowed, refused
from lowtide.compression.layer_times import layer_times
from lowtide.compression.layers import layers
from lowtide.compression.mixed import Layer, float_names, sensitivities, table
from lowtide.compression.quantize import Plan
from lowtide.compression.trial import Trial, by_method, corrected, mixed, narrowed, settled
from lowtide.data.arrays import ImageArrays, drawn, load_split
from lowtide.errors import ModelError
from lowtide.models.weights import load_model
from lowtide.params import Params
from lowtide.runtime.onnx_model import CPU
from lowtide.stages.context import StageContext
from lowtide.stages.kept_exports import export_once

PROBED_IMAGES = 256  # at most so many for what takes a session of the runtime a layer


@dataclass(frozen=True)
class _Int8:
    """The int8 file that was settled on; `layers` with why each has its precision."""

    plan: Plan
    accuracy: float
    method: Method
    methods: dict[Method, float]  # accuracy by each that was tried
    layers: list[Layer]

    @property
    def timed(self) -> bool:
        return any(layer.float_s is not None for layer in self.layers)

    def report(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "methods": self.methods,
            "weight_bits": self.plan.weight_bits,
            "bias_corrected": bool(self.plan.bias_shifts),
            "layers_timed": self.timed,
            "layers_kept_float": sorted(self.plan.float_layers),
            "layers": [{**asdict(layer), "gain_s": layer.gain_s} for layer in self.layers],
        }


def run(params: Params, context: StageContext) -> dict[str, Any]:
    served, held_out = params.evaluate, load_split(artifacts.DATA, "val")
    calibration = _calibration_images(params, context)
    trial = Trial(
        _exported(params), artifacts.QUANTIZED, held_out, served.num_threads, served.provider
    )
    fp32 = accuracy(trial.opened(artifacts.PRUNED_ONNX), held_out)
    teacher = _teachers_accuracy(params, trial)
    drop_max = drop_allowed(fp32, teacher, params.quantize, params.compress)
    made = _int8(params, trial, calibration, fp32 - drop_max)
    if not made.timed:
        context.say("layers are timed on CPUs alone: int8 for all, back to float by sensitivity")
    candidates = _candidates(params, trial, fp32, drop_max)
    if made.plan.float_layers.issuperset(node.name for node in layers(trial.model)):
        candidates["int8"] = replace(candidates["int8"], kept=False, why="no layer gains by int8")
    elif not params.compress.roll_back:
        candidates["int8"] = at_will(candidates["int8"])
    for name, one in candidates.items():
        context.say(f"{name} {'is kept' if one.kept else 'is not kept'}: {one.why}")
    return {
        "model": cheapest(candidates),
        "accuracy": made.accuracy,
        "accuracy_split": "val",
        "accuracy_fp32": fp32,
        "accuracy_teacher": teacher,
        "accuracy_drop": fp32 - made.accuracy,
        "accuracy_drop_allowed": drop_max,
        "kept": candidates["int8"].kept,
        "why": candidates["int8"].why,
        "times_less": candidates["int8"].times_less,
        "num_calibration_images": len(calibration),
        **made.report(),
        "half": {name: asdict(candidates[name]) for name in HALVES},
    }


def _int8(params: Params, trial: Trial, calibration: np.ndarray, accuracy_min: float) -> _Int8:
    """Step by step, until it is accurate enough or no layer is left in int8."""
    recipe, observed = params.quantize, observe(trial.model, calibration)
    first = METHODS[0] if recipe.method == "auto" else recipe.method
    found = _layer_table(params, trial, Plan(ranges(observed, first)))
    method, methods = by_method(trial, observed, recipe.method, float_names(found))
    plan, reached = Plan(ranges(observed, method), float_names(found)), methods[method]
    trial.write(plan)
    if reached < accuracy_min:
        plan, reached = narrowed(trial, plan, reached)
    if reached < accuracy_min:
        plan, reached = corrected(trial, plan, reached, calibration[:PROBED_IMAGES])
    if reached < accuracy_min:
        plan, reached, found = mixed(trial, plan, found, accuracy_min)
    return _Int8(plan, reached, method, methods, found)


def _exported(params: Params) -> onnx.ModelProto:
    model, spec = load_model(artifacts.PRUNED)
    path = artifacts.PRUNED_ONNX
    export_once(model, spec, path, params)
    return onnx.load(path)


def _teachers_accuracy(params: Params, trial: Trial) -> float:
    """Of its file in float, which techniques before this one were held against, too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "teacher.onnx"
        export_once(*load_model(artifacts.TEACHER), path, params)
        return accuracy(trial.opened(path), trial.held_out)


def _calibration_images(params: Params, context: StageContext) -> np.ndarray:
    """Training images, so that nothing is fitted to those that accuracy is taken on."""
    train = load_split(artifacts.DATA, "train")
    chosen = drawn(train, params.quantize.calibration_images, params.seed)
    for doubt in _doubts(chosen):
        context.say(
            f"all {len(chosen.labels)} calibration images are {doubt}: ranges may not fit others; "
            "raise quantize.calibration_images"
        )
    return chosen.images


def _doubts(chosen: ImageArrays) -> Iterator[str]:
    """What all of them have in common, and those that will be served may not."""
    if len(np.unique(chosen.labels)) == 1:
        yield "of one class"
    if (chosen.images == chosen.images[:1]).all():
        yield "the same"
    elif (np.ptp(chosen.images, axis=(2, 3)) == 0).all():
        yield "of one colour each"


def _layer_table(params: Params, trial: Trial, plan: Plan) -> list[Layer]:
    """What each layer gains and costs in int8; the plan has none in float."""
    names = [node.name for node in layers(trial.model)]
    images = trial.held_out.images[:PROBED_IMAGES]
    trial.write(plan)
    batch = np.resize(images, (params.evaluate.batch_size, *images.shape[1:]))
    seconds = _layer_seconds(trial, batch)
    slowest = sorted(names, key=lambda name: seconds["float"].get(name, 0), reverse=True)
    tried = slowest[: params.quantize.sensitivity_layers]
    measured = sensitivities(trial.model, plan.ranges, names, tried, images)
    return settled(trial, plan, table(names, seconds, measured), batch)


def _layer_seconds(trial: Trial, batch: np.ndarray) -> dict[str, dict[str, float]]:
    """Of `layer_times`; empty on a GPU, for which the times of a CPU say nothing."""
    paths = {"float": artifacts.PRUNED_ONNX, "int8": trial.target}
    if trial.opened(trial.target).runtime.provider != CPU:
        return {name: {} for name in paths}
    return layer_times(trial.model, paths, batch, trial.num_threads)


def _candidates(params: Params, trial: Trial, fp32: float, drop_max: float) -> dict[str, Compared]:
    """Each lower precision on this runtime; the better of the 16-bit files stays."""
    with tempfile.TemporaryDirectory() as folder:
        halves, unconverted = _halves(trial.model, Path(folder))
        found = compare(
            artifacts.PRUNED_ONNX, {"int8": trial.target, **halves}, trial.held_out,
            accuracy_fp32=fp32, drop_max=drop_max,
            batch_size=params.evaluate.batch_size, num_threads=trial.num_threads,
            provider=trial.provider,
        )  # fmt: skip
        best = max(
            halves, key=lambda name: (found[name].kept, found[name].times_less or 0), default=None
        )
        with artifacts.atomic(artifacts.HALF) as temporary:
            path = artifacts.PRUNED_ONNX if best is None else halves[best]
            temporary.write_bytes(path.read_bytes())
    return found | unconverted


def _halves(model: onnx.ModelProto, folder: Path) -> tuple[dict[str, Path], dict[str, Compared]]:
    """Paths of the 16-bit files, and what is said of those that cannot be made."""
    paths: dict[str, Path] = {}
    unconverted: dict[str, Compared] = {}
    for name in HALVES:
        try:
            write_half(model, folder / f"{name}.onnx", name)
            paths[name] = folder / f"{name}.onnx"
        except ModelError as error:
            unconverted[name] = refused(str(error))
    return paths, unconverted
