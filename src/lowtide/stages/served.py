"""Networks as they would be served: exported, in int8 where that takes less, side by side."""

from collections.abc import Mapping
from pathlib import Path

from lowtide import artifacts
from lowtide.compression.compare import accuracy
from lowtide.compression.keep import decide
from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quick import quick_int8
from lowtide.data.arrays import drawn, load_split
from lowtide.energy.counting import counting_window
from lowtide.errors import DataError, ModelError
from lowtide.evaluation.technique import Measured
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.params import Params
from lowtide.runtime import probe
from lowtide.runtime.onnx_model import OnnxModel
from lowtide.runtime.probe import Key, Turns
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


def opened(path: Path, params: Params) -> OnnxModel:
    return OnnxModel(path, params.evaluate.num_threads, provider=params.evaluate.provider)


def take_turns(
    models: Mapping[Key, OnnxModel], params: Params, num_repeats: int
) -> dict[Key, Turns]:
    """On validation images, in a window of its own: what others use meanwhile is not theirs."""
    images = load_split(artifacts.DATA, "val").images[:PROBE_IMAGES]
    with counting_window() as window:
        return probe.take_turns(
            models, images, window,
            batch_size=params.evaluate.batch_size, num_repeats=num_repeats,
        )  # fmt: skip


def measure(networks: Mapping[int, Files], params: Params) -> dict[int, dict[str, Measured]]:
    """Accuracy on validation images and cost of each file, by network and precision."""
    models = {
        (name, precision): opened(path, params)
        for name, files in networks.items()
        for precision, path in files.items()
    }
    turns = take_turns(models, params, params.compress.num_repeats)
    val = load_split(artifacts.DATA, "val")
    found: dict[int, dict[str, Measured]] = {name: {} for name in networks}
    for (name, precision), model in models.items():
        found[name][precision] = Measured(accuracy(model, val), turns[name, precision])
    return found


def served_as(files: Mapping[str, Measured], drop_max: float, roll_back: bool) -> str:
    """What `quantize` would publish, if it left all layers in one precision."""
    plain, int8 = files[FLOAT], files.get(INT8)
    if int8 is None:
        return FLOAT
    saved = times_less(plain.turns, int8.turns)
    found = decide(int8.accuracy, plain.accuracy, drop_max, saved)
    return INT8 if found.kept or not roll_back else FLOAT
