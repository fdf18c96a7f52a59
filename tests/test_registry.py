"""Versions and aliases in a real MLflow registry."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lowtide.errors import GateError, TrackingError
from lowtide.registry import RegisteredVersion, champion_version, register, rollback
from lowtide.runtime.normalisation import Normalisation

EXAMPLE = np.zeros((2, 1, 2, 2), np.uint8)


def write_model(path: Path, bias: float) -> Path:
    """uint8 image [N, 1, 2, 2] -> logits [N, 3]."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["float"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["logits"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [4, 3], [0.1] * 12),
            helper.make_tensor("b", TensorProto.FLOAT, [3], [bias, 0.0, 0.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


def put(store: str, path: Path, passed: bool) -> RegisteredVersion:
    reasons = [{"check": "accuracy", "passed": passed, "value": 0.5, "limit": 0.4}]
    return register(
        store, model_path=path, run_id=None, verdict={"passed": passed, "reasons": reasons},
        card="a card", input_example=EXAMPLE, metrics={"test_accuracy": 0.5},
    )  # fmt: skip


@pytest.fixture
def store(checkout: Path) -> str:
    return f"sqlite:///{checkout / 'mlflow.db'}"


def version_of(store: str, version: int) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store, store).get_model_version("lowtide-classifier", str(version))


def test_the_life_of_a_champion(checkout: Path, store: str) -> None:
    good = write_model(checkout / "good.onnx", 0.0)
    better = write_model(checkout / "better.onnx", 1.0)
    bad = write_model(checkout / "bad.onnx", 2.0)

    refused = put(store, bad, passed=False)
    assert champion_version(store) is None
    assert version_of(store, refused.version).tags["lowtide.refused_checks"] == "accuracy"
    with pytest.raises(GateError, match="no earlier champion"):
        rollback(store)

    first = put(store, good, passed=True)
    assert champion_version(store) == first.version == 2
    again = put(store, good, passed=True)
    assert again.version == first.version
    assert "already" in again.outcome

    put(store, bad, passed=False)
    assert champion_version(store) == first.version

    second = put(store, better, passed=True)
    assert champion_version(store) == second.version == 3
    assert version_of(store, second.version).tags["lowtide.previous_champion"] == "2"
    assert rollback(store).version == first.version
    assert champion_version(store) == first.version


def test_a_rollback_is_not_undone_by_the_next_run(checkout: Path, store: str) -> None:
    """A run in which all is cached registers the same file again."""
    put(store, write_model(checkout / "good.onnx", 0.0), passed=True)
    better = write_model(checkout / "better.onnx", 1.0)
    put(store, better, passed=True)
    rollback(store)
    again = put(store, better, passed=True)
    assert champion_version(store) == 1
    assert again == RegisteredVersion(2, ("candidate",), again.outcome)
    assert "version 2 was rolled back" in again.outcome


def test_rolling_back_twice_does_not_return_to_what_was_rolled_back(
    checkout: Path, store: str
) -> None:
    first = write_model(checkout / "first.onnx", 0.0)
    put(store, first, passed=True)
    put(store, write_model(checkout / "second.onnx", 1.0), passed=True)
    put(store, first, passed=True)  # the parameters were put back: the file is version 1 again
    assert champion_version(store) == 1
    assert rollback(store).version == 2
    with pytest.raises(GateError, match="no earlier champion"):
        rollback(store)
    assert champion_version(store) == 2


def test_a_rollback_steps_over_versions_rolled_back_before(checkout: Path, store: str) -> None:
    for index, name in enumerate(("first", "second", "third")):
        put(store, write_model(checkout / f"{name}.onnx", float(index)), passed=True)
    assert rollback(store).version == 2
    assert rollback(store).version == 1


def test_a_version_can_be_loaded_and_has_a_signature(checkout: Path, store: str) -> None:
    import mlflow

    put(store, write_model(checkout / "good.onnx", 0.5), passed=True)
    mlflow.set_tracking_uri(store)
    info = mlflow.models.get_model_info("models:/lowtide-classifier@champion")
    assert info.signature.inputs.to_dict()[0]["tensor-spec"]["dtype"] == "uint8"
    loaded = mlflow.onnx.load_model("models:/lowtide-classifier@champion")
    assert [entry.name for entry in loaded.graph.input] == ["image"]
    assert version_of(store, 1).description == "a card"


def test_what_is_normalised_outside_has_a_signature_of_floats(checkout: Path, store: str) -> None:
    """Its input example is what the file itself takes, with its metadata's mean and std."""
    import mlflow

    path = write_model(checkout / "outside.onnx", 0.0)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    metadata = Normalisation((100.0,), (50.0,)).metadata()
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    put(store, path, passed=True)
    mlflow.set_tracking_uri(store)
    info = mlflow.models.get_model_info("models:/lowtide-classifier@champion")
    assert info.signature.inputs.to_dict()[0]["tensor-spec"]["dtype"] == "float32"
    example = mlflow.models.Model.load(info.model_uri).load_input_example(info.model_uri)
    assert np.array_equal(np.asarray(example), np.full(EXAMPLE.shape, -2, np.float32))


def test_a_registry_that_is_gone_is_said_in_one_line(checkout: Path) -> None:
    with pytest.raises(TrackingError, match=r"did not take .*good.onnx"):
        put("http://127.0.0.1:9", write_model(checkout / "good.onnx", 0.0), passed=True)


@pytest.mark.parametrize("ask", [rollback, champion_version])
def test_asking_a_registry_that_is_gone_is_one_line_without_the_password(
    ask: Callable[[str], object],
) -> None:
    began = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        ask("http://me:secret@127.0.0.1:9")
    assert time.monotonic() - began < 30
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
