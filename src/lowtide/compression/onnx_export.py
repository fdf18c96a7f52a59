"""torch -> ONNX: one self-contained file, checked, with its metadata inside."""

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from lowtide.artifacts import atomic
from lowtide.errors import ArtifactError, ModelError, first_line
from lowtide.models.factory import Classifier
from lowtide.runtime.normalisation import INSIDE, PREPROCESSING, Normalisation
from lowtide.runtime.onnx_model import INPUT, OUTPUT, OnnxModel
from lowtide.silence import without_warnings

Preprocessing = Literal["inside", "outside"]
OPSET = "lowtide.opset"
TRIED = (1, 3)  # batches


def export_onnx(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    path: Path,
    *,
    opset: int,
    preprocessing: Preprocessing = "inside",
) -> None:
    """Write `model` as fp32 ONNX: `image` [N, C, H, W] -> float32 [N, K] `logits`; N is dynamic.

    `inside`: the image is uint8, normalisation is part of the graph. `outside`: the image is
    float32 and normalised; what it was normalised by is in the metadata. Batch norms are folded
    into the convolutions.

    Raises:
        ModelError: torch cannot export it (names the operator and the module, where torch tells),
            or the result is not valid ONNX of that opset, or does not run; no file is left.
    """
    network, example, metadata = _with(preprocessing, _contiguous(model.cpu().eval()), input_shape)
    with atomic(path) as temporary:
        raw = temporary.with_suffix(".raw")
        try:
            _torch_export(network, example, raw, opset)
            _fold(raw, temporary, {OPSET: str(opset), **metadata}, opset)
            _require_any_batch(temporary, input_shape)
        finally:
            raw.unlink(missing_ok=True)


def _contiguous(model: nn.Module) -> nn.Module:
    """A copy: of a model in channels_last torch exports strides, as a Gather that moves nothing."""
    return deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload,no-any-return]


def _with(
    preprocessing: Preprocessing, model: nn.Module, input_shape: tuple[int, int, int]
) -> tuple[nn.Module, torch.Tensor, dict[str, str]]:
    """What is exported, an example of what it takes, and what the file says about that."""
    example = torch.zeros(2, *input_shape, dtype=torch.uint8)
    if preprocessing == "inside":
        return model, example, {PREPROCESSING: INSIDE}
    assert isinstance(model, Classifier), "only a classifier tells how it normalises"
    mean, std = (tuple(each.flatten().tolist()) for each in (model.mean, model.std))
    return model.net, example.float(), Normalisation(mean, std).metadata()


def _torch_export(model: nn.Module, example: torch.Tensor, path: Path, opset: int) -> None:
    program, shapes = None, ({0: torch.export.Dim("batch")},)
    try:
        with _quiet():
            program = torch.export.export(model, (example,), dynamic_shapes=shapes)
            torch.onnx.export(
                program,
                (),
                str(path),
                dynamo=True,
                external_data=False,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=shapes,
                verbose=False,
            )
    except Exception as error:
        from lowtide.compression.export_failure import why_not

        with _quiet():
            reason = why_not(error, model, program)
        raise ModelError(f"the model cannot be exported to ONNX: {reason}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch prints its progress, and the graph in which it has failed."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("torch.")]
    others = [logging.getLogger(name) for name in names]
    loggers = [logging.getLogger("torch"), *(one for one in others if one.level)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            without_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _fold(source: Path, target: Path, metadata: Mapping[str, str], opset: int) -> None:
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
    _strip(model)
    _require_as_stated(model, opset)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, target)


def _strip(model: Any) -> None:
    """Take out what torch and ONNX Runtime leave behind: source paths, opsets that nothing uses."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    used = {node.domain for node in graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _require_as_stated(model: Any, opset: int) -> None:
    """ModelError where the file is not of that opset alone, or keeps weights outside of itself."""
    import onnx

    found = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if found != {"ai.onnx": opset}:
        written = ", ".join(f"{domain} {version}" for domain, version in found.items())
        raise ModelError(f"the exported graph has opset {written}, export.opset states {opset}")
    outside = [
        t.name for t in model.graph.initializer if onnx.external_data_helper.uses_external_data(t)
    ]
    if outside:
        raise ModelError(f"the exported file keeps {outside[0]} outside of itself")


def _require_any_batch(path: Path, input_shape: tuple[int, int, int]) -> None:
    model = OnnxModel(path, num_threads=1, provider="cpu")
    for size in TRIED:
        try:
            model.run(np.zeros((size, *input_shape), np.uint8))
        except ArtifactError as error:
            raise ModelError(
                f"the exported graph does not run with a batch of {size}: {error}"
            ) from error


def opset_of(model: Any) -> int:
    """The version of the standard operators that a graph (onnx.ModelProto) is written in."""
    return next(int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx"))


def set_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Put pairs into the file's metadata_props (labels, provenance, ...), beside what is there."""
    import onnx

    model = onnx.load(path)
    add_metadata(model, metadata)
    with atomic(path) as temporary:
        onnx.save(model, temporary)


def add_metadata(model: Any, metadata: Mapping[str, str]) -> None:
    """The same to a graph (onnx.ModelProto) in memory."""
    import onnx

    present = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**present, **metadata})


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
