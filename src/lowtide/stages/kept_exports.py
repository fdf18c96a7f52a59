"""Exported networks, kept from stage to stage: each is exported once in a chain."""

import hashlib
from importlib import metadata
from pathlib import Path

import onnx
import onnxruntime
import torch

from lowtide import artifacts
from lowtide.data.inputs import sources_digest
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.params import Params
from lowtide.stages.context import fingerprint
from lowtide.stages.served import export_float

FOLDER = artifacts.STATE / "exported"
NUM_KEPT = 4  # the teacher, its student before and after it was trained, and pruned


def export_once(model: Classifier, spec: ModelSpec, path: Path, params: Params) -> None:
    """`export_float`, or a copy of what it has made of the same network before.

    Raises:
        ModelError: the network has no ONNX form.
    """
    kept = FOLDER / f"{_mark(model.cpu().eval(), spec, params)}.onnx"
    if not kept.exists():
        export_float(model, spec, kept, params)
    kept.touch()
    with artifacts.atomic(path) as temporary:
        temporary.write_bytes(kept.read_bytes())
    for other in sorted(FOLDER.glob("*.onnx"), key=_used_ns)[:-NUM_KEPT]:
        other.unlink()


def _used_ns(file: Path) -> int:
    return file.stat().st_mtime_ns


def _mark(model: Classifier, spec: ModelSpec, params: Params) -> str:
    """Of all that the file depends on: weights, settings, the network's code and the exporter's."""
    code = [sources_digest(module) for module in ("lowtide", spec.factory.partition(":")[0])]
    versions = [one.__version__ for one in (torch, onnx, onnxruntime)]
    versions.append(metadata.version("onnxscript"))
    return fingerprint(_weights(model), spec, params.export, code, versions)[:16]


def _weights(model: Classifier) -> str:
    """Of parameters and buffers, those that are not saved included."""
    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
