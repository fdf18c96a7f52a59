"""Dark images come in: the watch says so, and the pipeline runs at its event."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.runtime.files import write_classifier
from tests.servers import answers, free_port, stop, wait_until
from tests.serving.running import NAME, pixels

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
DEPLOYMENT = "deployments/name/carbon-aware-pipeline/on-drift"


def runs(api: str) -> list[Any]:
    found = httpx.get(f"{api}/{DEPLOYMENT}").json()
    asked = {"deployments": {"id": {"any_": [found["id"]]}}}
    return list(httpx.post(f"{api}/flow_runs/filter", json=asked).json())


def test_drift_starts_a_run(project: Any, prefect_server: str, tmp_path: Path) -> None:
    project.run("dvc", "repro", "prepare")
    path, port = write_classifier(tmp_path / "m.onnx", channels=1), free_port()
    url = f"http://127.0.0.1:{port}"
    server = project.start(
        sys.executable, "-m", "lowtide", "serve", str(path), "--port", str(port),
        log=tmp_path / "serve.log",
    )  # fmt: skip
    try:
        wait_until(lambda: answers(f"{url}/v2/health/ready"), 60, "the server")
        assert watch(project, url).stdout.startswith("Completed: nothing")
        for _ in range(40):
            dark = pixels(np.zeros((8, 1, 8, 8), np.uint8))
            asked = httpx.post(f"{url}/v2/models/{NAME}/infer", json={"inputs": [dark]})
            assert asked.is_success
        assert watch(project, url).stdout.startswith("Drifted: input drift: mean of channel 0")
    finally:
        stop(server)
    wait_until(lambda: runs(prefect_server), 120, "a run at the event")


def watch(project: Any, url: str) -> "subprocess.CompletedProcess[str]":
    done: subprocess.CompletedProcess[str] = project.run(sys.executable, "-m", "flows.watch", url)
    return done
