"""Exported files side by side: joules and time per inference, interleaved, against one of them."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.energy.counting import counting_window
from lowtide.energy.totals import Totals
from lowtide.errors import DataError, UsageError
from lowtide.evaluation.predict import load_images
from lowtide.runtime.layers import layer_table
from lowtide.runtime.onnx_model import OnnxModel, Provider
from lowtide.runtime.probe import Turns, summary, take_latencies, take_turns
from lowtide.runtime.ratio import energy_ratio, latency_ratio, time_ratio

SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class Comparison:
    """How files are compared. `images`: a folder of image files; None: noise."""

    batch_size: int
    num_repeats: int
    num_threads: int | None
    provider: Provider
    images: Path | None
    layers: bool


def compare_files(paths: Sequence[Path], asked: Comparison) -> dict[str, Any]:
    """Figures of each file by its path, with ratios to the first, and what they rest on.

    Raises:
        ArtifactError: a file cannot be opened, or does not take a batch of that size.
        DataError: the folder of images has none, or one that cannot be read.
        UsageError: files that take images of different shapes, or a provider that is not there.
    """
    models = {str(p): OnnxModel(p, asked.num_threads, provider=asked.provider) for p in paths}
    images = _images(_common_shape(models), asked)
    with counting_window() as window:
        turns = take_turns(
            models, images, window, batch_size=asked.batch_size, num_repeats=asked.num_repeats
        )
        totals = window.totals()
    take_latencies(models, images, turns, num_repeats=asked.num_repeats)
    figures = {name: _figures(Path(name), turns, totals, asked, images) for name in models}
    return {
        "reference": str(paths[0]),
        "models": figures,
        "images": "noise" if asked.images is None else str(asked.images),
        "energy": {
            "provenance": totals.provenance,
            "sources": {name: part.source for name, part in totals.components.items()},
        },
        "runtime": asdict(models[str(paths[0])].runtime),
        "host": {
            "host": platform.node(),
            "machine": platform.machine(),
            "cpu_count": os.cpu_count(),
        },
    }


def _common_shape(models: Mapping[str, OnnxModel]) -> tuple[int, int, int]:
    """[C, H, W] that all of them take."""
    first, *others = ((name, model.input_shape[1:]) for name, model in models.items())
    if not all(isinstance(size, int) for size in first[1]):
        raise UsageError(f"{first[0]} takes images {first[1]}: the probe needs a fixed size")
    for name, shape in others:
        if shape != first[1]:
            raise UsageError(
                f"{name} takes images {shape}, {first[0]} takes {first[1]}: probe them one by one"
            )
    channels, height, width = (int(size) for size in first[1])
    return channels, height, width


def _images(shape: tuple[int, int, int], asked: Comparison) -> np.ndarray:
    """uint8 [N, C, H, W]. Time does not depend on what they show, so noise will do."""
    if asked.images is None:
        generator = np.random.default_rng(0)
        return generator.integers(0, 256, (asked.batch_size, *shape), dtype=np.uint8)
    found = sorted(p for p in asked.images.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"{asked.images} has no .png or .jpg below it: name a folder of images")
    return load_images(found[: asked.batch_size], shape[0], shape[1:])


def _figures(
    path: Path, turns: Mapping[str, Turns], totals: Totals, asked: Comparison, images: np.ndarray
) -> dict[str, Any]:
    reference, own = next(iter(turns.values())), turns[str(path)]
    result = summary(own, asked.batch_size, totals.provenance)
    energy = energy_ratio(reference, own)
    return {
        "size_bytes": path.stat().st_size,
        **asdict(result),
        "energy_ratio": None if energy is None else asdict(energy),
        "time_ratio": asdict(time_ratio(reference, own)),
        "latency_ratio": asdict(latency_ratio(reference, own)),
        **_layers(path, asked, images, result.inference_energy_j),
    }


def _layers(
    path: Path, asked: Comparison, images: np.ndarray, energy_j: float | None
) -> dict[str, Any]:
    if not asked.layers:
        return {}
    batch = np.resize(images, (asked.batch_size, *images.shape[1:]))
    table = layer_table(path, batch, energy_j=energy_j, num_threads=asked.num_threads)
    return {"layers": [asdict(layer) for layer in table]}
