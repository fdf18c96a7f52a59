"""`lowtide serve` in a process of its own, as users start it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers import answers, free_port, wait_until

SERVE = (sys.executable, "-m", "lowtide", "serve")


def start(folder: Path, *arguments: str, **environment: str) -> tuple[Any, str]:
    """The process, which logs to serve.log, and host and port that it is going to answer at."""
    port = str(free_port())
    command = (*SERVE, *arguments, "--port", port, "--threads", "1")
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log
        )
    return process, f"127.0.0.1:{port}"


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[tuple[Any, str]]:
    """The process and its URL, alive."""
    process, address = start(folder, *arguments, **environment)
    url = f"http://{address}"
    try:
        wait_until(lambda: answers(f"{url}/v2/health/live"), 120, "the server")
        yield process, url
    finally:
        process.kill()
        process.wait()
