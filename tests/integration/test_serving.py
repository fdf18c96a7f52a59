"""`lowtide serve` as users start it: it ends in order, says mistakes in a line, and outlives its
registry."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from lowtide.registry import MODEL
from tests.integration.served import SERVE, serving
from tests.runtime.files import write_classifier
from tests.servers import answers, wait_until
from tests.serving.running import NAME, pixels
from tests.serving.test_follow import put, write_numbered

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
BODY = json.dumps({"inputs": [pixels()]}).encode()
SWAPS = 20


def infer(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v2/models/{NAME}/infer", content=BODY, timeout=60)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_at_the_end_what_is_in_flight_is_answered(tmp_path: Path, sent: signal.Signals) -> None:
    """The signal comes when half of a body is there: the rest is read and answered, then exit 0."""
    write_classifier(tmp_path / "m.onnx")
    with serving(tmp_path, "m.onnx") as (process, url):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            head = f"POST /v2/models/{NAME}/infer HTTP/1.1\r\nHost: x\r\n"
            head += f"Content-Length: {len(BODY)}\r\n\r\n"
            connection.sendall(head.encode() + BODY[:100])
            wait_until(lambda: _in_flight(url) == 2, 30, "the request in flight")
            process.send_signal(sent)
            wait_until(lambda: not answers(f"{url}/v2/health/live"), 30, "no new connections")
            connection.sendall(BODY[100:])
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert process.wait(30) == 0
    assert "Traceback" not in (tmp_path / "serve.log").read_text()


def _in_flight(url: str) -> float:
    """The question itself is one of them."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    name = "lowtide_requests_in_flight "
    return next(float(line.split()[1]) for line in lines if line.startswith(name))


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    write_classifier(tmp_path / "m.onnx")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, environment, code, said in (
            (("none.onnx",), {}, 1, "there is no model none.onnx"),
            (("m.onnx", "--port", port), {}, 2, f"cannot listen on 127.0.0.1:{port}"),
            (("m.onnx",), {"LOWTIDE_API_KEY": " "}, 2, "LOWTIDE_API_KEY is empty"),
            (("m.onnx", "--tiers", "none.yaml"), {}, 2, "none.yaml cannot be read"),
            (("m.onnx", "--name", "../m"), {}, 2, "--name '../m' cannot be part of a URL"),
        ):
            done = subprocess.run(
                [*SERVE, *arguments], cwd=tmp_path, env={**os.environ, **environment},
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
            assert said in done.stderr


def test_the_champion_changes_without_a_failed_request_and_outlives_the_registry(
    mlflow_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = mlflow_server.uri
    for number in (1, 2):
        put(uri, write_numbered(tmp_path / f"{number}.onnx", number))
    arguments = ("--poll-s", "0.2", "--cache", "kept")
    with serving(tmp_path, *arguments, MLFLOW_TRACKING_URI=uri) as (_, url):
        wait_until(lambda: answers(f"{url}/v2/health/ready"), 60, "the champion")
        told = _while_asking(url, MlflowClient(uri, uri))
        assert set(told) == {200}, told
    mlflow_server.stop()
    with serving(tmp_path, *arguments, MLFLOW_TRACKING_URI=uri) as (_, url):
        assert answers(f"{url}/v2/health/ready"), "the last good model serves"
        assert infer(url).status_code == 200


def _while_asking(url: str, client: MlflowClient) -> "Counter[int]":
    """Statuses of the requests during the swaps."""
    told, stop = Counter[int](), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            told[infer(url).status_code] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for swap in range(SWAPS):
            version = str(1 + swap % 2)
            client.set_registered_model_alias(MODEL, "champion", version)
            wait_until(lambda version=version: _version(url) == version, 60, f"swap {swap}")
    finally:
        stop.set()
        asking.join()
    return told


def _version(url: str) -> str:
    return str(infer(url).json()["model_version"])
