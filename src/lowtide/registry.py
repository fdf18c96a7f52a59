"""The MLflow model registry: versions, and the aliases `candidate` and `champion`."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.errors import GateError, TrackingError
from lowtide.tracking.sender import limit_retries, redact

MODEL = "lowtide-classifier"
CANDIDATE, CHAMPION = "candidate", "champion"


@dataclass(frozen=True)
class RegisteredVersion:
    version: int
    aliases: tuple[str, ...]
    outcome: str


def register(
    uri: str,
    *,
    model_path: Path,
    run_id: str | None,
    verdict: Mapping[str, Any],
    card: str,
    input_example: np.ndarray,
    metrics: Mapping[str, float],
) -> RegisteredVersion:
    """Make the ONNX file a version with signature and input example, and move the aliases.

    `candidate` always comes to the new version, `champion` only if the verdict passed, as the
    last step. The same file with the same verdict is registered once.

    Raises:
        TrackingError: the server does not answer or refuses; safe to repeat.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    limit_retries()
    digest = hashlib.sha256(model_path.read_bytes()).hexdigest()
    passed = bool(verdict["passed"])
    try:
        client = MlflowClient(uri, uri)
        version = _find(client, digest, passed)
        if version is None:
            version = _create(client, uri, model_path, run_id, input_example)
            for key, value in _tags(verdict, digest, metrics).items():
                client.set_model_version_tag(MODEL, str(version), key, value)
            client.update_model_version(MODEL, str(version), card)
        client.set_registered_model_alias(MODEL, CANDIDATE, str(version))
        outcome = _promote(client, version) if passed else "refused: champion stays"
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"the model registry did not take {model_path}: {redact(error, uri)}"
        ) from None
    aliases = (CANDIDATE, CHAMPION) if passed else (CANDIDATE,)
    return RegisteredVersion(version, aliases, outcome)


def rollback(uri: str) -> RegisteredVersion:
    """Give `champion` back to the version that had it before.

    Raises:
        GateError: there is no champion, or it had no predecessor.
    """
    from mlflow import MlflowClient

    client = MlflowClient(uri, uri)
    current = _champion(client)
    previous = None if current is None else current.tags.get("lowtide.previous_champion")
    if not previous:
        raise GateError(f"{MODEL} has no earlier champion to go back to")
    client.set_registered_model_alias(MODEL, CHAMPION, previous)
    return RegisteredVersion(int(previous), (CHAMPION,), f"rolled back to version {previous}")


def champion_version(uri: str) -> int | None:
    from mlflow import MlflowClient

    current = _champion(MlflowClient(uri, uri))
    return None if current is None else int(current.version)


def _champion(client: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(MODEL, CHAMPION)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _promote(client: Any, version: int) -> str:
    current = _champion(client)
    if current is not None and int(current.version) == version:
        return f"version {version} is champion already"
    if current is not None:
        client.set_model_version_tag(
            MODEL, str(version), "lowtide.previous_champion", str(current.version)
        )
    client.set_registered_model_alias(MODEL, CHAMPION, str(version))
    return f"promoted: version {version} is champion"


def _find(client: Any, digest: str, passed: bool) -> int | None:
    for version in client.search_model_versions(f"name = '{MODEL}'"):
        tags = version.tags
        if tags.get("lowtide.sha256") == digest and tags.get("lowtide.passed") == str(passed):
            return int(version.version)
    return None


def _create(
    client: Any, uri: str, model_path: Path, run_id: str | None, example: np.ndarray
) -> int:
    import mlflow
    import onnx
    from mlflow.models import infer_signature

    from lowtide.evaluation.runtime import OnnxModel

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    signature = infer_signature(example, OnnxModel(model_path).run(np.ascontiguousarray(example)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mlflow.start_run(run_id=run_id):
            info = mlflow.onnx.log_model(
                onnx.load(model_path), name="model", signature=signature,
                input_example=np.asarray(example), registered_model_name=MODEL,
            )  # fmt: skip
    if run_id is not None:
        client.set_terminated(run_id, "FINISHED")
    return int(info.registered_model_version)


def _tags(verdict: Mapping[str, Any], digest: str, metrics: Mapping[str, float]) -> dict[str, str]:
    refused = [reason["check"] for reason in verdict["reasons"] if not reason["passed"]]
    return {
        "lowtide.sha256": digest,
        "lowtide.passed": str(bool(verdict["passed"])),
        "lowtide.refused_checks": ",".join(refused),
        **{f"lowtide.{name}": f"{value:.6g}" for name, value in metrics.items()},
    }
