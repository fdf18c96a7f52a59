"""Real servers on loopback, each on a port of its own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import answers, free_port, prefect_api, stop, wait_until


class MlflowServer:
    """`mlflow server` over SQLite; may be stopped and started again on the same port."""

    def __init__(self, project: Any, folder: Path) -> None:
        self._project, self._folder, self._port = project, folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = self._project.start(
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
            "--port", str(self._port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self._folder / 'server.db'}",
            "--artifacts-destination", str(self._folder / "artifacts"),
            log=self._folder / "mlflow.log",
        )  # fmt: skip
        wait_until(lambda: answers(f"{self.uri}/health"), 90, "mlflow server")

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None


@pytest.fixture
def mlflow_server(project: Any, tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(project, tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def prefect_server(project: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server, a process work pool, all deployments applied, and a worker; its API."""
    with prefect_api(project, tmp_path_factory.mktemp("server")) as api:
        project.run("bash", "scripts/apply_deployments.sh")
        worker = project.start(
            sys.executable, "-m", "prefect", "worker", "start", "--pool", "local", "--limit", "1",
            log=tmp_path_factory.mktemp("worker") / "worker.log",
        )  # fmt: skip
        yield api
        stop(worker)
