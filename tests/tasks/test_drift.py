"""The watch compares with the training images and the gated figure of its checkout."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.states import State

from lowtide import artifacts
from lowtide.serving.drift import image_statistics
from lowtide.serving.watch import Found
from tasks.drift import ask_server, compare_served


class Page(BaseHTTPRequestHandler):
    """Another server: it answers everything with a page."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"<html></html>")

    def log_message(self, *arguments: object) -> None: ...


def page(status: int) -> type[Page]:
    return type("Page", (Page,), {"status": status})


@pytest.mark.parametrize(
    ("status", "said", "again"),
    [
        (200, "does not answer in JSON", False),
        (401, "wants another key than LOWTIDE_API_KEY has", False),
        (404, "does not tell its statistics: Client error '404", False),
        (301, "does not tell its statistics: Redirect response '301", False),
        (429, "does not tell its statistics: Client error '429", True),
        (503, "does not tell its statistics: Server error '503", True),
    ],
)
def test_a_server_that_does_not_tell_is_asked_again_where_that_may_help(
    status: int, said: str, again: bool
) -> None:
    with HTTPServer(("127.0.0.1", 0), page(status)) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        told = ask_server.fn(f"http://127.0.0.1:{server.server_port}")
        thread.join()
    require_failed(told, said, again)


@pytest.mark.parametrize(
    ("url", "said", "again"),
    [("http://127.0.0.1:1", "Connection refused", True), ("--help", "is missing an 'http", False)],
)
def test_a_url_where_nothing_answers(url: str, said: str, again: bool) -> None:
    require_failed(ask_server.fn(url), said, again)


def require_failed(told: dict[str, Any] | State, said: str, again: bool) -> None:
    assert isinstance(told, State)
    assert told.is_failed()
    assert said in str(told.message)
    assert "\n" not in str(told.message)
    condition: Any = ask_server.retry_condition_fn
    assert condition(ask_server, None, told) is again


def test_what_is_served_is_compared_with_this_checkout(checkout: Path) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (600, 1, 8, 8), dtype=np.uint8)
    labels = generator.integers(0, 10, 600)
    (checkout / artifacts.DATA).mkdir(parents=True)
    np.save(artifacts.DATA / "train_images.npy", images)
    np.save(artifacts.DATA / "train_labels.npy", labels)
    artifacts.REPORTS.mkdir()
    own = {"accuracy": 0.9, "inference_energy_j": 0.001, "batch_size": 1}
    report = {"model": "int8", "candidates": {"int8": own}}
    artifacts.report_path("evaluate").write_text(json.dumps(report))
    served = {
        "statistics": image_statistics(images[:300] // 4).tolist(),
        "labels": labels[:300].tolist(),
        "inference_energy_j": 0.01,
        "recorded_inference_energy_j": None,
        "batch_cost_ratio": None,
        "batch_images": 1.0,
        "batch_cost": {"one_s": 4.2, "largest_s": 67.2, "largest": 64},
        "num_images": 300,
    }
    found = compare_served.fn(served, 0.2, 3.0)
    assert isinstance(found, Found)
    assert found.drift.drifted
    assert found.energy_ratio == 10.0
    assert len(found.reasons) == 2
