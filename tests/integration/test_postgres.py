"""MLflow on PostgreSQL, as mlflow/README.md says: the pipeline's record arrives there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.integration.postgres import Cluster
from tests.servers import answers, free_port, stop, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database."""
    with Cluster.running() as cluster:
        yield cluster.url("mlflow")


def test_the_record_arrives_in_postgresql(project: Any, database: str, tmp_path: Path) -> None:
    pytest.importorskip("psycopg2", reason="pip install 'lowtide[postgres]'")
    port = free_port()
    server = project.start(
        "bash", "mlflow/serve.sh", "mlflow/postgres.env", log=tmp_path / "mlflow.log",
        MLFLOW_BACKEND_STORE_URI=database, MLFLOW_PORT=str(port),
    )  # fmt: skip
    uri = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{uri}/health"), 120, "mlflow on PostgreSQL")
        project.run("dvc", "repro", MLFLOW_TRACKING_URI=uri)
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("lowtide")
        kinds = [
            run.data.tags["lowtide.kind"] for run in client.search_runs([experiment.experiment_id])
        ]
        assert sorted(kinds) == ["pipeline", *["stage"] * 8]
    finally:
        stop(server)
