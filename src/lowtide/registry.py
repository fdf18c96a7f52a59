"""The MLflow model registry: versions, and the aliases `candidate` and `champion`."""

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.errors import GateError, TrackingError
from lowtide.tracking.sender import limit_retries, redact

MODEL = "lowtide-classifier"
CANDIDATE, CHAMPION = "candidate", "champion"
PREVIOUS = "lowtide.previous_champion"  # on a version: which one it took the alias from
ROLLED_BACK = "lowtide.rolled_back"  # on a version: it is not promoted again


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
    last step; a version that was rolled back stays what it is. The same file with the same
    verdict is registered once.

    Raises:
        TrackingError: the server does not answer or refuses; safe to repeat.
    """
    digest = hashlib.sha256(model_path.read_bytes()).hexdigest()
    passed = bool(verdict["passed"])
    with _registry(uri, f"take {model_path}") as client:
        version = _find(client, digest, passed)
        if version is None:
            version = _create(client, uri, model_path, run_id, input_example)
            for key, value in _tags(verdict, digest, metrics).items():
                client.set_model_version_tag(MODEL, str(version), key, value)
            client.update_model_version(MODEL, str(version), card)
        client.set_registered_model_alias(MODEL, CANDIDATE, str(version))
        outcome = _promote(client, version) if passed else "refused: champion stays"
        champion = _champion(client)
    holds = champion is not None and int(champion.version) == version
    aliases = (CANDIDATE, CHAMPION) if holds else (CANDIDATE,)
    return RegisteredVersion(version, aliases, outcome)


def rollback(uri: str) -> RegisteredVersion:
    """Give `champion` back to the version that had it before.

    The version that loses it is marked first, so that a run which finds its model again does not
    promote it again.

    Raises:
        GateError: there is no champion, or no predecessor that was not rolled back itself.
        TrackingError: the server does not answer; safe to repeat.
    """
    with _registry(uri, "roll back") as client:
        current = _champion(client)
        previous = None if current is None else _predecessor(client, current)
        if current is None or previous is None:
            raise GateError(f"{MODEL} has no earlier champion to go back to")
        client.set_model_version_tag(MODEL, str(current.version), ROLLED_BACK, "True")
        client.set_registered_model_alias(MODEL, CHAMPION, str(previous))
    return RegisteredVersion(previous, (CHAMPION,), f"rolled back to version {previous}")


def champion_version(uri: str) -> int | None:
    with _registry(uri, "name its champion") as client:
        current = _champion(client)
    return None if current is None else int(current.version)


@contextmanager
def _registry(uri: str, asked: str) -> Iterator[Any]:
    """A client that gives up soon; what goes wrong is one line without the URI's password."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    limit_retries()
    try:
        yield MlflowClient(uri, uri)
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"the model registry did not {asked}: {redact(error, uri)}; see `lowtide doctor`"
        ) from None


def _predecessor(client: Any, version: Any) -> int | None:
    """The champion before `version`, passing over those that were rolled back."""
    seen = {str(version.version)}
    while (previous := version.tags.get(PREVIOUS)) and previous not in seen:
        seen.add(previous)
        version = client.get_model_version(MODEL, previous)
        if ROLLED_BACK not in version.tags:
            return int(version.version)
    return None


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
    if ROLLED_BACK in client.get_model_version(MODEL, str(version)).tags:
        return (
            f"passed, but version {version} was rolled back: champion stays; "
            f"delete its tag {ROLLED_BACK} to allow it"
        )
    if current is not None:
        client.set_model_version_tag(MODEL, str(version), PREVIOUS, str(current.version))
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

    from lowtide.runtime.onnx_model import OnnxModel

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    model = OnnxModel(model_path)
    taken = model.prepare(np.ascontiguousarray(example))
    signature = infer_signature(taken, model.run(example))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mlflow.start_run(run_id=run_id):
            info = mlflow.onnx.log_model(
                onnx.load(model_path), name="model", signature=signature,
                input_example=taken, registered_model_name=MODEL,
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
