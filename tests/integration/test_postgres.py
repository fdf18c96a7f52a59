"""MLflow on PostgreSQL, as mlflow/README.md says: the pipeline's record arrives there."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.integration.conftest import answers, free_port, stop, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A cluster of its own on loopback; yields the SQLAlchemy URL of an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    folder, port = Path("/tmp") / f"lowtide-pg-{os.getpid()}", free_port()
    folder.mkdir()
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    shutil.chown(folder, user)

    def run(*command: str) -> None:
        prefix = ("runuser", "-u", user, "--") if os.geteuid() == 0 else ()
        subprocess.run([*prefix, *command], check=True, capture_output=True, cwd="/")

    data = str(folder / "data")
    run(str(found[-1] / "initdb"), "-D", data, "-U", "lowtide", "--auth=trust")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    run(str(found[-1] / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", f"{folder}/log", "start")
    try:
        run(str(found[-1] / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "lowtide",
            "mlflow")  # fmt: skip
        yield f"postgresql+psycopg2://lowtide@127.0.0.1:{port}/mlflow"
    finally:
        run(str(found[-1] / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


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
