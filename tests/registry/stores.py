"""Tiny models, and what a run hands to a real registry in SQLite."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from lowtide.artifacts import file_sha256
from lowtide.registry import CHAMPION, MODEL, Reason, RegisteredVersion, register
from lowtide.registry.client import SHA256

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


def put(
    store: str, path: Path, passed: bool, against: Path | None = None, forced: Reason | None = None
) -> RegisteredVersion:
    """Register a file, judged against the champion's file `against`."""
    reasons = [{"check": "accuracy", "passed": passed, "value": 0.5, "limit": 0.4}]
    return register(
        store, model_path=path, run_id=None, verdict={"passed": passed, "reasons": reasons},
        judged_against=None if against is None else file_sha256(against),
        card="a card", input_example=EXAMPLE, metrics={"test_accuracy": 0.5}, forced=forced,
    )  # fmt: skip


def put_folder(
    store: str, folder: Path, sha256: str | None, tags: Mapping[str, str] | None = None
) -> str:
    """Make a folder the champion as it is, without what MLflow writes; its version."""
    client = client_of(store)
    client.create_registered_model(MODEL)
    known = {**(tags or {}), **({} if sha256 is None else {SHA256: sha256})}
    version = str(client.create_model_version(MODEL, str(folder), tags=known).version)
    client.set_registered_model_alias(MODEL, CHAMPION, version)
    return version


def client_of(store: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store, store)


def version_of(store: str, version: int) -> Any:
    return client_of(store).get_model_version("lowtide-classifier", str(version))
