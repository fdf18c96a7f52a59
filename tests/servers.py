"""Servers in processes of their own, each on a free port of loopback."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx


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


@contextlib.contextmanager
def prefect_api(project: Any, folder: Path) -> Iterator[str]:
    """A Prefect server for the project's processes, with its database in the folder; its API."""
    port, own = free_port(), dict(project.environment)
    api = f"http://127.0.0.1:{port}/api"
    project.environment |= {"PREFECT_API_URL": api, "PREFECT_HOME": str(folder)}
    server = None
    try:
        server = project.start(
            sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1",
            "--port", str(port), log=folder / "server.log",
        )  # fmt: skip
        wait_until(lambda: answers(f"{api}/health"), 90, "prefect server")
        yield api
    finally:
        if server is not None:
            stop(server)
        project.environment = own
