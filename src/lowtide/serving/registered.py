"""A version of the MLflow registry as one self-contained, checked ONNX file."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from lowtide.artifacts import atomic
from lowtide.registry.client import SHA256, find_holder, open_registry
from lowtide.registry.versions import version_file
from lowtide.runtime.onnx_file import check_file
from lowtide.serving.model import Figures


@dataclass(frozen=True)
class Entry:
    """What the registry says of a version; `sha256` None: it was not put there by lowtide."""

    version: str
    sha256: str | None
    figures: Figures


def look(uri: str, alias: str) -> Entry | None:
    """The version that has the alias now; None where nobody has it.

    Raises:
        TrackingError: the registry does not answer, or there is none.
    """
    with open_registry(uri, f"say who is {alias}") as client:
        version = find_holder(client, alias)
    if version is None:
        return None
    tags = version.tags
    figures = Figures(
        _number(tags, "test_accuracy"), _number(tags, "inference_energy_j"),
        _count(tags, "inference_batch_size"),
    )  # fmt: skip
    return Entry(str(version.version), tags.get(SHA256), figures)


def download(uri: str, entry: Entry, path: Path) -> None:
    """Write the version's file to `path`: as lowtide has registered it, byte by byte; of another's
    with what MLflow keeps beside it put inside.

    Raises:
        TrackingError: the registry does not answer.
        ModelError: what it has is no sound ONNX file, or another one than was registered.
    """
    with TemporaryDirectory() as folder, open_registry(uri, "give its file") as client:
        file = version_file(client, uri, entry.version, entry.sha256, folder)
        check_file(file)
        content = file.read_bytes() if entry.sha256 else _self_contained(file)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def _self_contained(path: Path) -> bytes:
    """Of a file that MLflow's own flavour has logged, with large tensors in files beside it."""
    import onnx

    content: bytes = onnx.load(path).SerializeToString()
    return content


def _number(tags: Mapping[str, str], name: str) -> float | None:
    try:
        return float(tags[f"lowtide.{name}"])
    except (KeyError, ValueError):
        return None


def _count(tags: Mapping[str, str], name: str) -> int | None:
    value = _number(tags, name)
    return int(value) if value is not None and 1 <= value < inf else None
