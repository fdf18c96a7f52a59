"""A version of the MLflow registry as one self-contained, checked ONNX file."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowtide.artifacts import atomic
from lowtide.errors import ModelError, TrackingError, first_line
from lowtide.registry.client import MODEL, SHA256, find_holder
from lowtide.serving.model import Figures, check_file
from lowtide.tracking.sender import limit_retries, redact

FILE = "model.onnx"  # as MLflow's ONNX flavour calls it


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
    _require_database(uri)
    with _client(uri, f"say who is {alias}") as client:
        version = find_holder(client, alias)
    if version is None:
        return None
    tags = version.tags
    figures = Figures(_number(tags, "test_accuracy"), _number(tags, "inference_energy_j"))
    return Entry(str(version.version), tags.get(SHA256), figures)


def download(uri: str, entry: Entry, path: Path) -> None:
    """Write the version's file to `path`, with what MLflow keeps beside it put inside.

    Raises:
        TrackingError: the registry does not answer.
        ModelError: what it has is no sound ONNX file, or another one than was registered.
    """
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as folder, _client(uri, "give its file") as client:
        source = client.get_model_version_download_uri(MODEL, entry.version)
        found = Path(download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=uri))
        files = [found] if found.suffix == ".onnx" else sorted(found.rglob(FILE))
        if len(files) != 1:
            raise ModelError(f"version {entry.version} of {MODEL} holds {len(files)} {FILE}")
        check_file(files[0])
        content = _self_contained(files[0])
    digest = hashlib.sha256(content).hexdigest()
    if entry.sha256 is not None and digest != entry.sha256:
        raise ModelError(
            f"version {entry.version} of {MODEL} is not the file that was registered: its "
            f"SHA-256 begins {digest[:12]}, the tag {entry.sha256[:12]}"
        )
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def _require_database(uri: str) -> None:
    """MLflow would make an empty one, perhaps while a pipeline does the same."""
    scheme, _, path = uri.partition(":///")
    if scheme == "sqlite" and not Path(path).exists():
        raise TrackingError(
            f"there is no model registry {path}: set MLFLOW_TRACKING_URI, or `make run` first"
        )


def _self_contained(path: Path) -> bytes:
    """The bytes as before MLflow moved large tensors into files of their own."""
    import onnx

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.DEFAULT:
            tensor.ClearField("data_location")  # else its default is written out
    content: bytes = model.SerializeToString()
    return content


def _number(tags: Mapping[str, str], name: str) -> float | None:
    try:
        return float(tags[f"lowtide.{name}"])
    except (KeyError, ValueError):
        return None


@contextmanager
def _client(uri: str, asked: str) -> Iterator[Any]:
    """A client that gives up soon; what goes wrong is one line without the URI's password."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    limit_retries()
    mlflow.set_tracking_uri(uri)  # the file of a version is looked for there
    mlflow.set_registry_uri(uri)
    try:
        yield mlflow.MlflowClient(uri, uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(
            f"the model registry did not {asked}: {redact(error, uri) or first_line(error)}"
        ) from None
