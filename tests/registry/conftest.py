"""A registry in SQLite; its tables are made once and copied."""

import shutil
from pathlib import Path

import pytest

from tests.registry.stores import client_of


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    client_of(f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def store(checkout: Path, empty_store: Path) -> str:
    shutil.copy(empty_store, checkout / "mlflow.db")
    return f"sqlite:///{checkout / 'mlflow.db'}"
