"""A real server on loopback, in a thread of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from lowtide.carbon.signal import IntensitySource
from lowtide.clock import SystemClock
from lowtide.serving.batcher import BatchLimits
from lowtide.serving.limits import Limits
from lowtide.serving.server import (
    Grid,
    Origin,
    Running,
    Settings,
    asgi,
    configured,
    listening,
)
from lowtide.serving.service import Service
from lowtide.serving.tiers import Tiers

NAME = "lowtide-classifier"
LIMITS = Limits(body_bytes=100_000, images=16, in_flight=64, header_s=0.5, body_s=0.5)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8), dtype=np.uint8)


@dataclass(frozen=True)
class Served:
    client: httpx.Client
    service: Service
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def infer(self, tensor: dict[str, Any], **more: Any) -> httpx.Response:
        return self.client.post(f"/v2/models/{NAME}/infer", json={"inputs": [tensor], **more})

    def metric(self, name: str) -> list[str]:
        """Its lines at /metrics."""
        text = self.client.get("/metrics").text
        return [line for line in text.splitlines() if line.startswith(name)]


def settings_of(folder: Path, path: Path | None, **changes: Any) -> Settings:
    settings = Settings(
        name=NAME, host="127.0.0.1", port=0, num_threads=1,
        batch=BatchLimits(num_images=8, wait_s=0.002, num_queued=64), limits=LIMITS,
        origin=Origin(path, f"sqlite:///{folder / 'mlflow.db'}", 0.1, folder / "kept"),
        grid=Grid(None, SystemClock(), 1.0),
        tiers=Tiers(accuracy_drop_max=0, carbon_tiers=()), drain_s=5, key=None,
    )  # fmt: skip
    return replace(settings, **changes)


def grid(source: IntensitySource) -> Grid:
    return Grid(source, SystemClock(), 1.2)


@contextmanager
def serving(settings: Settings) -> Iterator[Served]:
    running = Running(settings)
    running.open_files()
    server = uvicorn.Server(configured(settings, asgi(running, settings)))
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server has ended before it began"
                time.sleep(0.01)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield Served(client, running.service, port)
        finally:
            server.should_exit = True
            thread.join()


def pixels(images: np.ndarray = IMAGES) -> dict[str, Any]:
    """As a tensor of the protocol."""
    return {
        "name": "pixels", "shape": list(images.shape), "datatype": "UINT8",
        "data": images.ravel().tolist(),
    }  # fmt: skip
