"""A client of the registry, and what is read of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lowtide.errors import TrackingError
from lowtide.tracking.sender import redact, terse_mlflow, unmade_database

MODEL = "lowtide-classifier"
CANDIDATE, CHAMPION = "candidate", "champion"
SHA256 = "lowtide.sha256"  # on a version: of its ONNX file
EXISTS, MISSING = "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"


@contextmanager
def open_registry(uri: str, asked: str) -> Iterator[Any]:
    """A client that gives up soon.

    Raises:
        TrackingError: there is no registry, or it does not answer or refuses; in one line without
            the URI's password.
    """
    mlflow = terse_mlflow()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    path = unmade_database(uri)
    if path is not None:
        raise TrackingError(
            f"there is no model registry {path}: set MLFLOW_TRACKING_URI, or `make run` first"
        )
    try:
        yield mlflow.MlflowClient(uri, uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(
            f"the model registry did not {asked}: {redact(error, uri)}; see `lowtide doctor`"
        ) from None


def find_champion(client: Any) -> Any:
    return find_holder(client, CHAMPION)


def find_holder(client: Any, alias: str) -> Any:
    """The version that has the alias; None where none has."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(MODEL, alias)
    except MlflowException as error:
        if error.error_code in {MISSING, "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def find_model(client: Any, name: str) -> Any:
    """A registered model with its tags; None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == MISSING:
            return None
        raise


def create_model(client: Any, name: str, tags: dict[str, str]) -> bool:
    """False where one of that name is there already: the server lets one caller alone create it."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, tags=tags)
    except MlflowException as error:
        if error.error_code in {EXISTS, MISSING}:  # missing: there, and deleted meanwhile
            return False
        raise
    return True
