"""What clients get from a real server: answers of the protocol, and refusals in one line."""

import io
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lowtide.runtime.onnx_model import OnnxModel
from lowtide.serving.account import EnergyAccount, Used
from lowtide.serving.cores import BatchCost
from lowtide.serving.model import Figures, ServedModel
from lowtide.serving.server import listening
from lowtide.serving.tiers import TierParams, Tiers
from tests.runtime.files import write_classifier
from tests.serving.fixed import FixedGrid
from tests.serving.running import IMAGES, LIMITS, NAME, Served, grid, pixels, serving, settings_of

INFER = f"/v2/models/{NAME}/infer"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "m.onnx")


@pytest.fixture(scope="module")
def served(path: Path) -> Iterator[Served]:
    with serving(settings_of(path.parent, path)) as running:
        yield running


def test_health_and_metadata_are_as_the_protocol_has_them(served: Served) -> None:
    assert served.client.get("/v2/health/live").json() == {"live": True}
    assert served.client.get("/v2/health/ready").json() == {"ready": True}
    assert served.client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    model = served.client.get(f"/v2/models/{NAME}").json()
    assert model["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 3, 8, 8]}]
    assert model["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, 4]}]
    (version,) = model["versions"]
    ready = served.client.get(f"/v2/models/{NAME}/versions/{version}/ready")
    assert ready.json() == {"name": NAME, "ready": True}


def test_logits_are_those_of_the_file(served: Served, path: Path) -> None:
    answer = served.infer(pixels(), id="a").json()
    (output,) = answer["outputs"]
    assert (answer["id"], answer["model_name"], output["shape"]) == ("a", NAME, [3, 4])
    found = np.array(output["data"], np.float32).reshape(3, 4)
    assert np.allclose(found, OnnxModel(path, 1).run(IMAGES), rtol=1e-5)
    assert answer["parameters"]["tier"] == "champion"


def test_bytes_give_the_same_as_json(served: Served) -> None:
    tail = IMAGES.tobytes()
    tensor = {**pixels(), "parameters": {"binary_data_size": len(tail)}}
    del tensor["data"]
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    answer = served.client.post(
        INFER, content=header + tail, headers={"Inference-Header-Content-Length": str(len(header))}
    )
    length = int(answer.headers["inference-header-content-length"])
    found = np.frombuffer(answer.content[length:], np.float32)
    assert np.allclose(found, served.infer(pixels()).json()["outputs"][0]["data"], rtol=1e-5)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/v2/models/other/infer", 404),
        (f"/v2/models/{NAME}/versions/99/infer", 404),
        ("/v2/models/..%2F..%2Fetc%2Fpasswd/infer", 404),
        ("/v2/models/../../etc/passwd/infer", 404),
        ("/v2/health/live", 405),
    ],
)
def test_what_is_not_there_is_said(served: Served, url: str, status: int) -> None:
    answer = served.client.post(url, json={"inputs": [pixels()]})
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}


def test_a_wrong_path_or_field_is_told_where_to_look(served: Served) -> None:
    paths = served.client.get("/openapi.json").json()["paths"]
    lost = served.client.get("/")
    assert (lost.status_code, lost.json()["error"].split("; ")[0]) == (404, "Not Found")
    wrong = served.client.post("/classify", files={"img": b"x"})
    assert (wrong.status_code, "/classify" in paths) == (400, True)
    for answer in (lost, wrong):
        assert "/openapi.json says what there is" in answer.json()["error"]


def test_malformed_requests_are_refused_and_the_server_goes_on(served: Served) -> None:
    for body in (b"{", b"[]", b"null", b"\xff", json.dumps({"inputs": [float("nan")]}).encode()):
        answer = served.client.post(INFER, content=body)
        assert (answer.status_code, set(answer.json())) == (400, {"error"})
    packed = served.client.post(INFER, content=b"{}", headers={"content-encoding": "gzip"})
    assert packed.status_code == 400
    assert served.infer(pixels()).status_code == 200


def test_a_large_body_is_refused_before_it_is_read(served: Served) -> None:
    """By its length, at once; without one, as soon as it is too much."""
    with socket.create_connection(("127.0.0.1", served.port), 10) as connection:
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n"
                           % INFER.encode())  # fmt: skip
        assert connection.recv(100).startswith(b"HTTP/1.1 413")

    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 10_000

    assert served.client.post(INFER, content=chunks()).status_code == 413


def test_slow_clients_are_let_go(served: Served) -> None:
    """One that never ends its headers, one that never ends its body."""
    for start, said in (
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b""),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 408"),
    ):
        with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
            began = time.monotonic()
            connection.sendall(start)
            assert connection.recv(12) == said
            while connection.recv(1000):
                pass
            assert time.monotonic() - began >= 0.4


def test_an_image_is_classified_for_people(served: Served) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((20, 10, 3), 90, np.uint8)).save(file, "PNG")
    answer = served.client.post("/classify", files={"image": file.getvalue()}).json()
    assert answer["label"] in {"0", "1", "2", "3"}
    assert 0.25 <= answer["probability"] <= 1
    assert answer["emissions_g"] is None, "no grid is named: unknown, not zero"
    assert answer["model_name"] == NAME
    for files in ({"image": b"text"}, {"other": b""}):
        bad = served.client.post("/classify", files=files)
        assert (bad.status_code, set(bad.json())) == (400, {"error"})


def test_metrics_count_what_was_answered(served: Served) -> None:
    route = 'lowtide_requests_total{code="200",route="/v2/models/{name}/infer"}'
    before = float((served.metric(route) or ["0 0"])[0].split()[1])
    served.infer(pixels())
    assert float(served.metric(route)[0].split()[1]) == before + 1
    assert served.metric("lowtide_model_info")
    assert served.metric("lowtide_intensity_g_per_kwh") == ["lowtide_intensity_g_per_kwh NaN"]
    assert served.metric('lowtide_request_seconds_bucket{le="+Inf",route="/metrics"}')


def test_statistics_tell_of_images_without_keeping_them(served: Served) -> None:
    served.infer(pixels())
    content = served.client.get("/statistics").json()
    assert len(content["statistics"]) == len(content["labels"]) >= 3
    assert len(content["statistics"][0]) == 6


@pytest.mark.parametrize(("batch_size", "ratio"), [(1, 1.0), (None, None)])
def test_statistics_tell_what_batches_cost_beside_those_that_were_recorded(
    path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int | None, ratio: float | None
) -> None:
    """Recorded at batches of one image, and images came alone."""
    monkeypatch.setattr(EnergyAccount, "sample", lambda *_: None)
    figures = Figures(inference_energy_j=0.01, batch_size=batch_size)
    with serving(settings_of(path.parent, path)) as running:
        running.service.put(
            "champion", ServedModel.open(path, name=NAME, figures=figures, num_threads=1)
        )
        running.service.account.lately = Used(num_images=300, num_batches=300)
        content = running.client.get("/statistics").json()
    assert (content["batch_images"], content["batch_cost_ratio"]) == (1.0, ratio)
    assert BatchCost(**content["batch_cost"]).largest == 1


def test_without_the_key_only_health_is_open(path: Path) -> None:
    with serving(settings_of(path.parent, path, key="right")) as running:
        assert running.client.get("/v2/health/ready").status_code == 200
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic right"}):
            answer = running.client.get("/v2", headers=given)
            assert answer.status_code == 401
            assert "right" not in answer.text
        assert running.client.get("/v2", headers={"authorization": "Bearer right"}).is_success


def test_a_thousand_connections_at_once_are_all_answered(path: Path) -> None:
    """Each gets its logits, or is told to try again."""
    body = json.dumps({"inputs": [pixels(IMAGES[:1])]}).encode()
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    settings = settings_of(path.parent, path, limits=replace(LIMITS, header_s=60, body_s=60))
    with serving(settings) as running, ExitStack() as stack:
        address = ("127.0.0.1", running.port)
        clients = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(1000)]
        for client in clients:
            client.sendall(head % (INFER.encode(), len(body)) + body)
        found = [int(client.recv(12).split()[1]) for client in clients]
        assert set(found) <= {200, 429, 503}
        assert found.count(200) >= settings.batch.num_queued
        assert running.infer(pixels()).status_code == 200


def test_openapi_tells_of_every_route(served: Served) -> None:
    paths: dict[str, Any] = served.client.get("/openapi.json").json()["paths"]
    assert {"/classify", "/v2/models/{name}/infer", "/v2/health/live"} <= set(paths)
    assert "400" in paths["/v2/models/{name}/infer"]["post"]["responses"]
    for route in paths.values():
        for operation in route.values():
            assert {"4XX", "5XX"} <= set(operation["responses"]), "the limits answer everywhere"
            assert "422" not in operation["responses"], "nothing answers so"


def test_a_request_without_a_model_is_told_to_come_back(tmp_path: Path) -> None:
    """The registry holds nobody: alive, not ready."""
    with serving(settings_of(tmp_path, None)) as running:
        assert running.client.get("/v2/health/live").is_success
        assert running.client.get("/v2/health/ready").status_code == 503
        answer = running.infer(pixels())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_in_a_dirty_hour_a_smaller_variant_answers_and_says_so(path: Path) -> None:
    """The variant is another file; who asks for the champion's version gets that one."""
    small = write_classifier(path.parent / "small.onnx", width=8)
    tier = TierParams(name="small", model=small, accuracy=0.89, above_g_per_kwh=200)
    tiers = Tiers(accuracy_drop_max=0.02, champion_accuracy=0.9, carbon_tiers=(tier,))
    with serving(settings_of(path.parent, path, grid=grid(FixedGrid(300)), tiers=tiers)) as running:
        _wait_for_intensity(running)
        answer = running.infer(pixels()).json()
        assert answer["parameters"]["tier"] == "small"
        assert answer["parameters"]["intensity_g_per_kwh"] == 300
        found = np.array(answer["outputs"][0]["data"], np.float32).reshape(3, 4)
        assert np.allclose(found, OnnxModel(small, 1).run(IMAGES), rtol=1e-5)
        champion = next(
            version for version in running.client.get(f"/v2/models/{NAME}").json()["versions"]
            if version != answer["model_version"]
        )  # fmt: skip
        url = f"/v2/models/{NAME}/versions/{champion}/infer"
        forced = running.client.post(url, json={"inputs": [pixels()]}).json()
        assert forced["parameters"]["tier"] == "champion"


def _wait_for_intensity(running: Served) -> None:
    deadline = time.monotonic() + 60
    while running.service.intensity.g_per_kwh is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_answer_waits_for_an_acknowledgement() -> None:
    """Head and body are two small writes: by Nagle's algorithm the second would wait 40 ms."""
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
