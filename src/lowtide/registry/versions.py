"""A model's file as a version of the registry: whole, or not there."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lowtide.artifacts import file_sha256
from lowtide.errors import ModelError
from lowtide.registry.client import MODEL, SHA256, create_model
from lowtide.silence import without_warnings

DESCRIPTION_MAX = 5000  # characters that MLflow's tables hold
CARD, FILE = "README.md", "model.onnx"  # beside what MLflow writes, as it names it
GO_BACK = "give its alias to another version, a champion's by `make rollback`"


def find_version(client: Any, digest: str, passed: bool) -> Any:
    """The version of this file under such a verdict; None where there is none."""
    for version in client.search_model_versions(f"name = '{MODEL}'"):
        tags = version.tags
        if tags.get(SHA256) == digest and tags.get("lowtide.passed") == str(passed):
            return version
    return None


def create_version(
    client: Any,
    uri: str,
    model_path: Path,
    run_id: str | None,
    example: np.ndarray,
    card: str,
    tags: dict[str, str],
) -> Any:
    """The files first, then the version with tags and card in one step: killed between the two,
    files are left that no version names."""
    info = _log_model(uri, model_path, run_id, example, card)
    create_model(client, MODEL, {})
    return client.create_model_version(
        MODEL, info.model_uri, info.run_id, tags=tags,
        description=card[:DESCRIPTION_MAX], model_id=info.model_id,
    )  # fmt: skip


def version_file(client: Any, uri: str, version: str, sha256: str | None, folder: str) -> Path:
    """Its ONNX file, brought into `folder` with what MLflow keeps beside it.

    Raises:
        ModelError: it has none or several, or another one than that of `sha256`.
    """
    from mlflow.artifacts import download_artifacts

    source = client.get_model_version_download_uri(MODEL, version)
    found = Path(download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=uri))
    files = [found] if found.suffix == ".onnx" else sorted(found.rglob(FILE))
    if len(files) != 1:
        raise ModelError(f"version {version} of {MODEL} holds {len(files)} {FILE}: {GO_BACK}")
    digest = file_sha256(files[0])
    if sha256 not in (None, digest):
        raise ModelError(
            f"version {version} of {MODEL} is not the file that was registered: its SHA-256 begins "
            f"{digest[:12]}, the tag {sha256[:12]}: {GO_BACK}"
        )
    return files[0]


def _log_model(
    uri: str, model_path: Path, run_id: str | None, example: np.ndarray, card: str
) -> Any:
    import mlflow
    import onnx
    from mlflow.models import Model, infer_signature

    from lowtide.runtime.onnx_model import OnnxModel

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    model = OnnxModel(model_path)
    taken = model.prepare(np.ascontiguousarray(example))
    with without_warnings():
        info = Model.log(  # mlflow.onnx.log_model would print the server's URI, password and all
            None, mlflow.onnx, name="model", run_id=run_id, onnx_model=onnx.load(model_path),
            input_example=taken, signature=infer_signature(taken, model.run(example)),
            # named, else MLflow runs the model in further processes to find them
            pip_requirements=mlflow.onnx.get_default_pip_requirements(),
            save_as_external_data=False,
        )  # fmt: skip
    with TemporaryDirectory() as folder:  # byte by byte, since its sha256 is what it is known by
        shutil.copy(model_path, Path(folder) / FILE)
        (Path(folder) / CARD).write_text(card, encoding="utf-8")
        mlflow.MlflowClient(uri, uri).log_model_artifacts(info.model_id, folder)
    return info


def version_tags(
    verdict: Mapping[str, Any], digest: str, metrics: Mapping[str, float]
) -> dict[str, str]:
    refused = [reason["check"] for reason in verdict["reasons"] if not reason["passed"]]
    judged = {
        reason["check"]: {key: reason[key] for key in ("passed", "value", "limit")}
        for reason in verdict["reasons"]
    }
    return {
        SHA256: digest,
        "lowtide.passed": str(bool(verdict["passed"])),
        "lowtide.refused_checks": ",".join(refused),
        "lowtide.verdict": json.dumps(judged),
        **{f"lowtide.{name}": f"{value:.6g}" for name, value in metrics.items()},
    }
