"""Classify image files with an exported model."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.data.decode import decode_image
from lowtide.energy.counting import counting_window
from lowtide.energy.sources import KWH_IN_J
from lowtide.errors import DataError, ModelError
from lowtide.runtime.onnx_model import OnnxModel

MEASURE_S = 1.0


def predict_files(model_path: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """Label and probability of each image, and the joules that one inference takes here.

    Raises:
        ModelError: the file was not exported by lowtide.
        DataError: an image cannot be read; names it.
    """
    from scipy.special import softmax

    model = OnnxModel(model_path)
    if "lowtide.labels" not in model.metadata:
        raise ModelError(f"{model_path} has no labels inside: it was not exported by lowtide")
    labels = json.loads(model.metadata["lowtide.labels"])
    _, channels, height, width = model.input_shape
    images = load_images(paths, int(channels), (int(height), int(width)))
    energy_j, provenance = _energy_per_inference(model, images[:1])
    return {
        "model": str(model_path),
        "predictions": [
            {"path": str(path), "label": labels[row.argmax()], "probability": float(row.max())}
            for path, row in zip(paths, softmax(model.logits(images), axis=1), strict=True)
        ],
        "energy_j_per_inference": energy_j,
        "provenance": provenance,
    }


def load_images(paths: Sequence[Path], channels: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 [N, C, H, W]; DataError names what cannot be read."""
    return np.stack([_load(path, channels, size) for path in paths])


def _load(path: Path, channels: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 [C, H, W], decoded as for training, resized if it has another size."""
    if not path.exists():
        raise DataError(f"there is no image {path}")
    pixels = decode_image(path, "L" if channels == 1 else "RGB", size)
    if pixels is None:
        raise DataError(f"{path} cannot be read as an image: mend it, or leave it out")
    return pixels.transpose(2, 0, 1)


def _energy_per_inference(model: OnnxModel, image: np.ndarray) -> tuple[float | None, str]:
    """Joules and their provenance; None where nothing here can tell."""
    with counting_window() as window:
        end, count = time.perf_counter() + MEASURE_S, 0
        while time.perf_counter() < end:
            model.run(image)
            count += 1
        window.sample()
        used = window.totals()
    energy_j = None if used.energy_kwh is None else used.energy_kwh * KWH_IN_J / count
    return energy_j, used.provenance
