"""What a model takes and answers, and what is known of it: `model.json` beside the file."""

import json
from pathlib import Path
from typing import Any

from lowtide.artifacts import file_sha256, read_json, report_path
from lowtide.errors import ModelError
from lowtide.runtime.normalisation import Normalisation
from lowtide.runtime.onnx_model import OnnxModel

LABELS = "lowtide.labels"
MAKING = ("candidate", "commit", "data_sha256", "training_energy_kwh", "training_emissions_g",
          "training_energy_provenance", "training_intensity")  # fmt: skip
FIGURES = ("accuracy", "inference_energy_j", "latency_ms_p50", "provenance")


def describe(path: Path) -> dict[str, Any]:
    """`labels`; `input`, `type` and `shape` [C, H, W] of an image; `mean` and `std` by channel,
    null where the graph normalises; `made`, from the file; `measured`, from the reports, or null.

    Raises:
        ArtifactError: ONNX Runtime cannot open the file.
        ModelError: it was not exported by lowtide.
    """
    model = OnnxModel(path, num_threads=1, provider="cpu")
    labels, (_, *shape) = model.metadata.get(LABELS), model.input_shape
    fixed = all(isinstance(size, int) for size in shape)
    if labels is None or not fixed or model.input_type not in ("uint8", "float32"):
        raise ModelError(
            f"{path} has no labels inside, or takes no image of one size: it was not exported by "
            "lowtide; take a file that `lowtide stage export` has made"
        )
    normalisation = Normalisation.of_metadata(model.metadata)
    digest = file_sha256(path)
    return {
        "labels": json.loads(labels),
        "input": model.input_name,
        "type": model.input_type,
        "shape": shape,
        "mean": normalisation and list(normalisation.mean),
        "std": normalisation and list(normalisation.std),
        "size_bytes": path.stat().st_size,
        "sha256": digest,
        "made": {name: model.metadata.get(f"lowtide.{name}") for name in MAKING},
        "measured": measured(path, digest),
    }


def measured(path: Path, digest: str) -> dict[str, Any] | None:
    """What the reports say of the file, by its sha256, on the host that evaluated it; None if it is
    not theirs.

    `inference_energy_j` is of one image in a batch of `batch_size`.
    """
    if not report_path("evaluate").exists() or not report_path("export").exists():
        return None
    exported, evaluated = (read_json(report_path(name)) for name in ("export", "evaluate"))
    for name, entry in exported["candidates"].items():
        if Path(entry["path"]).resolve() == path.resolve():
            own = evaluated["candidates"].get(name, {})
            return _figures(evaluated, own) if own.get("sha256") == digest else None
    return None


def _figures(evaluated: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: own[key] for key in (*FIGURES, "batch_size")},
        "num_images": evaluated["num_images"],
        "runtime": evaluated["runtime"],
        "machine": evaluated["provenance"]["machine"],
    }
