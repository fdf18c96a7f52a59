"""Real servers on loopback, each on a port of its own."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.25)
    raise AssertionError(f"{what}: not within {timeout_s:.0f} s")


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=2).is_success
    return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    api = f"http://127.0.0.1:{port}/api"
    project.environment["PREFECT_API_URL"] = api
    project.environment["PREFECT_HOME"] = str(folder)
    prefect = (sys.executable, "-m", "prefect")
    server = project.start(
        *prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port),
        log=folder / "server.log",
    )  # fmt: skip
    worker = None
    try:
        wait_until(lambda: answers(f"{api}/health"), 90, "prefect server")
        project.run("bash", "scripts/apply_deployments.sh")
        worker = project.start(
            *prefect, "worker", "start", "--pool", "local", "--limit", "1",
            log=folder / "worker.log",
        )  # fmt: skip
        yield api
    finally:
        if worker is not None:
            stop(worker)
        stop(server)
