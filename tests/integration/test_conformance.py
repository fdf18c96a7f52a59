"""Clients that are not ours talk to `lowtide serve`: Triton's by the Open Inference Protocol, and
schemathesis by the server's OpenAPI document."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lowtide.runtime.onnx_model import OnnxModel
from tests.conftest import ROOT
from tests.integration.served import serving
from tests.runtime.files import write_classifier
from tests.serving.running import IMAGES, NAME

triton = pytest.importorskip("tritonclient.http", reason="pip install -e '.[conformance]'")
pytest.importorskip("schemathesis", reason="pip install -e '.[conformance]'")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
ACCEPTANCE = "positive_data_acceptance"  # what fits the schema may not fit the model


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    write_classifier(folder / "m.onnx")
    with serving(folder, "m.onnx") as (_, url):
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        yield client


def test_triton_s_client_finds_the_server_and_its_model(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    assert not client.is_model_ready("another")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata(NAME)
    assert metadata["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 3, 8, 8]}]


@pytest.mark.parametrize("sent_binary", [False, True])
@pytest.mark.parametrize("told_binary", [False, True])
def test_triton_s_client_is_told_the_logits(
    client: Any, tmp_path: Path, sent_binary: bool, told_binary: bool
) -> None:
    tensor = triton.InferInput("pixels", IMAGES.shape, "UINT8")
    tensor.set_data_from_numpy(IMAGES, binary_data=sent_binary)
    output = client.get_model_metadata(NAME)["outputs"][0]["name"]
    wanted = triton.InferRequestedOutput(output, binary_data=told_binary)
    told = client.infer(NAME, [tensor], outputs=[wanted], request_id="7")
    assert told.get_response()["id"] == "7"
    bare = OnnxModel(write_classifier(tmp_path / "m.onnx"), 1).run(IMAGES)
    np.testing.assert_allclose(told.as_numpy(output), bare, rtol=1e-5)


def test_triton_s_client_is_told_what_is_wrong(client: Any) -> None:
    tensor = triton.InferInput("pixels", [1, 3, 8, 8], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(triton.InferenceServerException, match="the model takes UINT8"):
        client.infer(NAME, [tensor])


@pytest.mark.parametrize(
    "arguments",
    [(), ("--exclude-checks", ACCEPTANCE)],
    ids=["any name", "the model's name"],
)
def test_schemathesis_finds_nothing(url: str, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Names drawn at random seldom reach inference: so once more with the model's."""
    pinned = f'[parameters]\n"path.name" = "{NAME}"\n' if arguments else ""
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'hooks = "tests.integration.images"\n{pinned}')
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run",
            f"{url}/openapi.json", "--max-examples", "20", "--seed", "0", *arguments,
        ],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
