"""Networks as they would be served: exported, in int8 where that takes less, side by side."""

from collections.abc import Mapping
from pathlib import Path

from lowtide import artifacts
from lowtide.compression.compare import accuracy
from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quick import quick_int8
from lowtide.data.arrays import drawn, load_split
from lowtide.energy.counting import counting_window
from lowtide.errors import DataError, ModelError
from lowtide.evaluation.technique import Candidate
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.params import Params
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.probe import take_turns
from lowtide.runtime.ratio import times_less

FLOAT, INT8 = "fp32", "int8"
CALIBRATION_IMAGES = 128
PROBE_IMAGES = 256


Files = dict[str, Path]  # of one network, by precision


def export_float(model: Classifier, spec: ModelSpec, path: Path, params: Params) -> None:
    """As `params.export` says."""
    export_onnx(
        model, (spec.in_channels, *spec.image_size), path,
        opset=params.export.opset, preprocessing=params.export.preprocessing,
    )  # fmt: skip


def export(model: Classifier, spec: ModelSpec, folder: Path, params: Params) -> Files:
    """The float file, and the int8 file where there is one."""
    path = folder / "model.fp32.onnx"
    export_float(model, spec, path, params)
    return with_int8(path, params)


def with_int8(path: Path, params: Params) -> Files:
    """The float file, and beside it its int8 form; no int8 where no ranges could be found."""
    target, train = path.with_name("model.int8.onnx"), load_split(artifacts.DATA, "train")
    try:
        quick_int8(path, target, drawn(train, CALIBRATION_IMAGES, params.seed).images)
    except (DataError, ModelError):  # the stage quantize says what is wrong
        return {FLOAT: path}
    return {FLOAT: path, INT8: target}


def measure(networks: Mapping[int, Files], params: Params) -> dict[int, dict[str, Candidate]]:
    """Accuracy on validation images and cost of each file, by network and precision.

    In a window of its own: what other processes use meanwhile is not theirs.
    """
    files = {(n, p): path for n, one in networks.items() for p, path in one.items()}
    settings, val = params.evaluate, load_split(artifacts.DATA, "val")
    models = {
        f"{name} {precision}": OnnxModel(path, settings.num_threads, provider=settings.provider)
        for (name, precision), path in files.items()
    }
    with counting_window() as window:
        turns = take_turns(
            models, val.images[:PROBE_IMAGES], window,
            batch_size=settings.batch_size, num_repeats=params.compress.num_repeats,
        )  # fmt: skip
    found: dict[int, dict[str, Candidate]] = {name: {} for name in networks}
    for name, precision in files:
        key = f"{name} {precision}"
        found[name][precision] = Candidate(accuracy(models[key], val), turns[key])
    return found


def served_as(files: Mapping[str, Candidate], drop_max: float) -> str:
    """float, or int8 where that takes less and loses no more than `drop_max`."""
    plain, int8 = files[FLOAT], files.get(INT8)
    if int8 is None or plain.accuracy - int8.accuracy > drop_max:
        return FLOAT
    return INT8 if times_less(plain.turns, int8.turns) > 1 else FLOAT
