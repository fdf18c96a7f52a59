"""Seconds of each node of an ONNX file, as ONNX Runtime's own profiler sees them."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.runtime.onnx_model import OnnxModel

KERNEL = "_kernel_time"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class ProfiledNode:
    """A node of the graph after ONNX Runtime's optimisations, in the order of execution.

    A fused node has one entry, under the name it was given there. Shapes are of a whole batch.
    """

    name: str
    op_type: str
    seconds: float
    input_type: str  # of its first input, as ONNX Runtime names it: float, float16, uint8
    input_shape: Shape
    output_shape: Shape


def node_times(
    path: Path, images: np.ndarray, num_runs: int, num_threads: int | None
) -> dict[str, float]:
    """Seconds by node name for one call on uint8 images [N, C, H, W]; see `profiled_nodes`."""
    nodes = profiled_nodes(path, images, num_runs, num_threads)
    return {node.name: node.seconds for node in nodes}


def profiled_nodes(
    path: Path, images: np.ndarray, num_runs: int, num_threads: int | None
) -> list[ProfiledNode]:
    """Of one call on uint8 images [N, C, H, W], on the CPU; the quickest of `num_runs`.

    The quickest, since whatever else the machine does only ever adds. A first call, which
    allocates, is left out.

    Raises:
        ArtifactError: ONNX Runtime cannot open the file.
    """
    batch = np.ascontiguousarray(images)
    with tempfile.TemporaryDirectory() as folder:
        model = OnnxModel(path, num_threads, profile=Path(folder) / "profile", provider="cpu")
        for _ in range(1 + num_runs):
            model.run(batch)
        events = json.loads(model.end_profile().read_text(encoding="utf-8"))
    return _quickest(events)


def _quickest(events: list[dict[str, Any]]) -> list[ProfiledNode]:
    taken: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(KERNEL):
            taken.setdefault(event["name"].removesuffix(KERNEL), []).append(event)
    return [_node(name, calls[1:]) for name, calls in taken.items()]


def _node(name: str, calls: list[dict[str, Any]]) -> ProfiledNode:
    told = calls[0]["args"]
    seconds = min(call["dur"] for call in calls) * 1e-6
    kind, shape = _first(told["input_type_shape"])
    return ProfiledNode(
        name, told["op_name"], seconds, kind, shape, _first(told["output_type_shape"])[1]
    )


def _first(told: list[dict[str, list[int]]]) -> tuple[str, Shape]:
    """Of `[{"float": [64, 16, 8, 8]}, ...]`."""
    kind, shape = next(iter(told[0].items())) if told else ("", [])
    return kind, tuple(shape)
