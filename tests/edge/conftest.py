"""A model as lowtide exports them, made without torch, and images for it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.runtime.files import write_classifier

SEED = 8  # of weights with which the pictures get all labels
LABELS = ["ash", "beech", "cherry", "düne"]
METADATA = {
    "lowtide.labels": json.dumps(LABELS),
    "lowtide.candidate": "int8",
    "lowtide.training_energy_kwh": "0.001",
}


def label(path: Path, **metadata: str) -> Path:
    """Write what lowtide writes into its files."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, METADATA | metadata)
    onnx.save(model, path)
    return path


def classifier(path: Path) -> Path:
    """Probabilities that are neither 0 nor 1: its last weights are small."""
    model = onnx.load(write_classifier(path))
    (head,) = (one for one in model.graph.initializer if one.name == "head")
    weights = np.random.default_rng(SEED).normal(size=head.dims).astype(np.float32) / 400
    head.CopyFrom(onnx.numpy_helper.from_array(weights, "head"))
    onnx.save(model, path)
    return label(path)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return classifier(tmp_path / "m.onnx")


def draw_pictures(folder: Path) -> list[Path]:
    """Of several sizes, each in a colour of its own, so that not all get one label."""
    generator, paths = np.random.default_rng(1), []
    for index, side in enumerate((8, 8, 12, 30, 5, 8)):
        shade = 200 * np.array([index & 1, index >> 1 & 1, index >> 2])
        pixels = (shade + generator.integers(0, 55, (side, side + 2, 3))).astype(np.uint8)
        paths.append(folder / f"{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return draw_pictures(tmp_path)
