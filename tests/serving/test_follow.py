"""The champion of a real registry answers, changes under load, and outlives the registry."""

import asyncio
import contextlib
import hashlib
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from onnx import numpy_helper

from lowtide.compression.onnx_export import export_onnx
from lowtide.compression.quick import quick_int8
from lowtide.models.factory import ModelSpec, build
from lowtide.registry import MODEL, register
from lowtide.registry.client import SHA256, find_champion, open_registry
from lowtide.serving.server import Running, Settings
from tests.runtime.files import write_classifier
from tests.serving.running import IMAGES, NAME, Served, pixels, serving, settings_of

pytestmark = pytest.mark.timeout(900)
WITHIN_S = 240  # of a busy machine


def write_numbered(path: Path, number: int) -> Path:
    """A classifier whose first logit tells its number: it is the same for all images."""
    model = onnx.load(write_classifier(path, width=64))
    for tensor in model.graph.initializer:
        if tensor.name == "head":
            head = np.zeros((64, 4), np.float32)
            tensor.CopyFrom(numpy_helper.from_array(head, "head"))
    bias = numpy_helper.from_array(np.array([number, 0, 0, 0], np.float32), "bias")
    model.graph.initializer.append(bias)
    model.graph.node[-1].output[0] = "unbiased"
    model.graph.node.append(onnx.helper.make_node("Add", ["unbiased", "bias"], ["scores"]))
    onnx.save(model, path)
    return path


def put(uri: str, path: Path) -> str:
    """Make the file the champion; its version."""
    done = register(
        uri, model_path=path, run_id=None, verdict={"passed": True, "reasons": []},
        judged_against=_champion_sha256(uri), card="", input_example=IMAGES, metrics={},
    )  # fmt: skip
    return str(done.version)


def _champion_sha256(uri: str) -> str | None:
    with open_registry(uri, "name its champion") as client:
        champion = find_champion(client)
        return None if champion is None else champion.tags[SHA256]


def put_quickly(settings: Settings, path: Path) -> str:
    """The same without what MLflow makes beside the file: a folder with it is the version."""
    folder = path.with_suffix("")
    folder.mkdir()
    path.rename(folder / "model.onnx")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    client = MlflowClient(settings.origin.uri, settings.origin.uri)
    with contextlib.suppress(MlflowException):
        client.create_registered_model(MODEL)
    tags = {"lowtide.sha256": digest, "lowtide.inference_energy_j": "0.01"}
    version = str(client.create_model_version(MODEL, str(folder), tags=tags).version)
    client.set_registered_model_alias(MODEL, "champion", version)
    return version


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def first_logit(served: Served) -> float:
    return float(served.infer(pixels()).json()["outputs"][0]["data"][0])


@pytest.fixture
def settings(checkout: Path) -> Settings:
    """Over a registry that is there, and empty."""
    found = settings_of(checkout, None)
    MlflowClient(found.origin.uri, found.origin.uri).search_registered_models()
    return found


def test_the_life_of_a_server(settings: Settings, checkout: Path) -> None:
    """Champion, swap under load without a failure, a broken one, the registry away."""
    first = put_quickly(settings, write_numbered(checkout / "1.onnx", 1))
    with serving(settings) as served:
        wait_for(lambda: served.service.ready, "the champion")
        assert first_logit(served) == 1
        statuses: Counter[tuple[int, float]] = Counter()
        stop = threading.Event()
        asking = threading.Thread(target=_ask, args=(served, stop, statuses))
        asking.start()
        second = put_quickly(settings, write_numbered(checkout / "2.onnx", 2))
        wait_for(lambda: first_logit(served) == 2, "the swap")
        stop.set()
        asking.join()
        assert {status for status, _ in statuses} == {200}
        assert {logit for _, logit in statuses} <= {1, 2}
        assert served.metric("lowtide_swaps_total") == ['lowtide_swaps_total{place="champion"} 1.0']
        assert served.client.get(f"/v2/models/{NAME}/versions/{first}").status_code == 404
        cost = served.infer(pixels()).json()["parameters"]
        assert cost["energy_j"] > 0
        _spoil(settings, second)
        wait_for(lambda: bool(served.metric("lowtide_models_refused_total{")), "the refusal")
        assert first_logit(served) == 2, "the old one stays"
    away = replace(settings, origin=replace(settings.origin, uri="http://127.0.0.1:9"))
    with serving(away) as served:
        assert first_logit(served) == 2, "the last good model serves"


def _ask(served: Served, stop: threading.Event, statuses: "Counter[tuple[int, float]]") -> None:
    while not stop.is_set():
        answer = served.infer(pixels())
        statuses[answer.status_code, answer.json()["outputs"][0]["data"][0]] += 1


def _spoil(settings: Settings, version: str) -> None:
    """The alias moves to a version whose tag is of another file."""
    client = MlflowClient(settings.origin.uri, settings.origin.uri)
    source = client.get_model_version(MODEL, version).source
    spoilt = client.create_model_version(MODEL, source, tags={"lowtide.sha256": "0" * 64})
    client.set_registered_model_alias(MODEL, "champion", spoilt.version)


def test_a_kept_model_that_was_changed_is_not_served(settings: Settings, checkout: Path) -> None:
    """An int8 file, registered as the pipeline does it."""
    spec = ModelSpec("tidenet-8-16", 3, (8, 8), 4, (128.0,) * 3, (64.0,) * 3)
    export_onnx(build(spec), (3, 8, 8), checkout / "float.onnx", opset=20)
    quick_int8(checkout / "float.onnx", checkout / "1.onnx", IMAGES)
    model = onnx.load(checkout / "1.onnx")
    model.graph.initializer[0].data_location = onnx.TensorProto.DEFAULT  # written out, as by torch
    onnx.save(model, checkout / "1.onnx")
    put(settings.origin.uri, checkout / "1.onnx")
    with serving(settings) as served:
        wait_for(lambda: served.service.ready, "the champion")
        wait_for((checkout / "kept/champion/last.json").exists, "the note")
    (kept,) = (checkout / "kept/champion").glob("*.onnx")
    assert json.loads((checkout / "kept/champion/last.json").read_text())["version"] == "1"
    write_numbered(kept, 7)
    away = replace(settings, origin=replace(settings.origin, uri="http://127.0.0.1:9"))
    with serving(away) as served:
        assert not served.service.ready


def test_what_hinders_here_is_tried_again_and_what_the_file_lacks_is_not(
    settings: Settings, checkout: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that cannot be written says nothing of the model; the alias that comes back does."""
    put_quickly(settings, write_numbered(checkout / "1.onnx", 1))
    (checkout / "kept").touch()
    running = Running(settings)
    (follower,) = running.followers

    def poll() -> None:
        asyncio.run(follower.poll())

    with caplog.at_level(logging.WARNING):
        poll()
        poll()
        assert caplog.text.count("cannot write") == 1
        (checkout / "kept").unlink()
        poll()
        assert running.service.ready
        first = running.service.placed[0].model.version
        _spoil(settings, first)
        for refusals in (1, 2):
            poll()
            poll()
            assert caplog.text.count("is not served, 1 stays") == refusals
            _move(settings, first)
            poll()
            _move(settings, "2")


def _move(settings: Settings, version: str) -> None:
    client = MlflowClient(settings.origin.uri, settings.origin.uri)
    client.set_registered_model_alias(MODEL, "champion", version)
