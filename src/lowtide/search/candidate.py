"""A network as it would be served: exported, in int8 too, and probed beside a reference file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lowtide import artifacts
from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quick import quick_int8
from lowtide.data.batches import load_split
from lowtide.errors import MeterError
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.params import Params
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.probe import Window, probe

FLOAT, INT8 = "fp32", "int8"
PROBE_IMAGES = 256


@dataclass(frozen=True)
class Reference:
    """What joules are compared with: the teacher, or the network as params.yaml has it.

    `accuracy`: on validation images; None for one that is not trained.
    """

    path: Path
    accuracy: float | None


@dataclass(frozen=True)
class Joules:
    """Per inference of the reference, measured in turns, and of each file over the reference's."""

    reference_j: float
    ratios: dict[str, float]

    @property
    def least(self) -> tuple[str, float]:
        """The file with the least joules, and its ratio."""
        return min(self.ratios.items(), key=lambda item: item[1])


def export(model: Classifier, spec: ModelSpec, folder: Path, params: Params) -> dict[str, Path]:
    """The float and the int8 file."""
    paths = {FLOAT: folder / "model.fp32.onnx", INT8: folder / "model.int8.onnx"}
    shape = (spec.in_channels, *spec.image_size)
    export_onnx(model, shape, paths[FLOAT], opset=params.export.opset)
    held_out = load_split(artifacts.DATA, "val").images
    draw = np.random.default_rng(params.seed).permutation(len(held_out))
    chosen = np.sort(draw[: params.quantize.calibration_images])
    quick_int8(paths[FLOAT], paths[INT8], held_out[chosen])
    return paths


def joules(paths: dict[str, Path], reference: Reference, window: Window, params: Params) -> Joules:
    """MeterError where nothing here can tell joules."""
    settings = params.evaluate
    files = {"reference": reference.path, **paths}
    models = {name: OnnxModel(path, settings.num_threads) for name, path in files.items()}
    images = load_split(artifacts.DATA, "val").images[:PROBE_IMAGES]
    results = probe(
        models, images, window, batch_size=settings.batch_size,
        num_repeats=params.search.num_repeats,
    )  # fmt: skip
    found = {name: result.inference_energy_j for name, result in results.items()}
    known = {name: value for name, value in found.items() if value}
    if len(known) < len(found):
        raise MeterError("joules per inference are unknown here: see `lowtide doctor`")
    reference_j = known.pop("reference")
    return Joules(reference_j, {name: value / reference_j for name, value in known.items()})


def accuracy(path: Path, params: Params) -> float:
    """Of a file on validation images."""
    val = load_split(artifacts.DATA, "val")
    answers = OnnxModel(path, params.evaluate.num_threads).logits(val.images).argmax(1)
    return float((answers == val.labels).mean())


def acceptable(paths: dict[str, Path], params: Params) -> dict[str, float]:
    """Accuracy of the float file, and of the int8 file unless it has lost too much."""
    found = {name: accuracy(path, params) for name, path in paths.items()}
    if found[FLOAT] - found[INT8] > params.quantize.val_accuracy_drop_max:
        del found[INT8]
    return found
