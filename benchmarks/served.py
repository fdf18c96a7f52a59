"""A server with a registry of two models, and a client that costs as little as it can."""

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import torch
from mlflow import MlflowClient

from lowtide.compression.onnx_export import export_onnx, set_metadata
from lowtide.models.factory import ModelSpec, build
from lowtide.registry import CHAMPION, MODEL

CHANNELS, SIZE, NUM_CLASSES = 3, (32, 32), 10
NETWORK = "tidenet-s"
START_S = 600.0  # of a busy machine


def write_models(folder: Path) -> list[Path]:
    """Two files of one network: their times are the same, their contents differ by a word."""
    paths = [folder / name / "model.onnx" for name in ("first", "second")]
    torch.manual_seed(0)
    network = build(ModelSpec(NETWORK, CHANNELS, SIZE, NUM_CLASSES, (120.0,) * 3, (60.0,) * 3))
    for path in paths:
        export_onnx(network, (CHANNELS, *SIZE), path, opset=20)
        set_metadata(path, {"lowtide.candidate": path.parent.name})
    return paths


class Registry:
    """MLflow over SQLite; the files are versions 1 and 2, the first one is the champion."""

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self._client = MlflowClient(self.uri, self.uri)
        self._client.create_registered_model(MODEL)
        for path in paths:
            tags = {"lowtide.sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            self._client.create_model_version(MODEL, str(path.parent), tags=tags)
        self.promote(1)

    def promote(self, version: int) -> None:
        self._client.set_registered_model_alias(MODEL, CHAMPION, str(version))

    @staticmethod
    def num_swaps(port: int) -> int:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        counts = [line.split()[1] for line in lines if line.startswith("lowtide_swaps_total{")]
        return int(float(counts[0])) if counts else 0


@contextmanager
def running_server(folder: Path, uri: str, threads: int) -> Iterator[int]:
    """`lowtide serve` as users start it, ready; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = [
        sys.executable, "-m", "lowtide", "serve", "--port", str(port), "--threads", str(threads),
        "--poll-s", "0.5", "--cache", str(folder / "kept"),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5):
            return
        time.sleep(0.2)
    raise SystemExit("the server did not get ready")


class Client:
    """One connection that is kept; images and logits as bytes."""

    def __init__(self, port: int, images: np.ndarray) -> None:
        self._port = port
        tensor = {
            "name": "image", "shape": list(images.shape), "datatype": "UINT8",
            "parameters": {"binary_data_size": images.nbytes},
        }  # fmt: skip
        request = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
        header = json.dumps(request).encode()
        self._body = header + images.tobytes()
        self._headers = {"Inference-Header-Content-Length": str(len(header))}
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    def infer(self) -> int:
        """The status; 0 where no answer came."""
        try:
            self._connection.request("POST", f"/v2/models/{MODEL}/infer", self._body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._connect()
            return 0
        return answer.status
