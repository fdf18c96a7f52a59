"""Seconds of each node of an ONNX file, as ONNX Runtime's own profiler sees them."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.runtime.onnx_model import OnnxModel

KERNEL = "_kernel_time"


def node_times(
    path: Path, images: np.ndarray, num_runs: int, num_threads: int | None
) -> dict[str, float]:
    """Seconds by node name for one call on uint8 images [N, C, H, W]; the quickest of `num_runs`.

    The quickest, since whatever else the machine does only ever adds. Names are those of the graph
    after ONNX Runtime's optimisations: a fused node has one entry, under the name it was given
    there. A first call, which allocates, is left out.

    Raises:
        ArtifactError: ONNX Runtime cannot open the file.
    """
    batch = np.ascontiguousarray(images)
    with tempfile.TemporaryDirectory() as folder:
        model = OnnxModel(path, num_threads, profile=Path(folder) / "profile")
        for _ in range(1 + num_runs):
            model.run(batch)
        events = json.loads(model.end_profile().read_text(encoding="utf-8"))
    return _quickest(events)


def _quickest(events: list[dict[str, Any]]) -> dict[str, float]:
    taken: dict[str, list[float]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(KERNEL):
            name = event["name"].removesuffix(KERNEL)
            taken.setdefault(name, []).append(event["dur"] * 1e-6)
    return {name: min(seconds[1:]) for name, seconds in taken.items()}
