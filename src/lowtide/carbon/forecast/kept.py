"""Fitted models on disk: a fit takes seconds and holds for a week."""

import hashlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lowtide import artifacts
from lowtide.carbon.forecast.hourly import Hourly
from lowtide.carbon.forecast.walk import StepModel, fit, last_boundary
from lowtide.errors import ArtifactError

FOLDER = artifacts.STATE / "carbon" / "models"
VERSION = "1"  # of the features; a file of another one is fitted anew


def models_for(series: Hourly, horizon: int, name: str) -> list[StepModel]:
    """The models in force for a series, from disk if they were fitted on the same hours."""
    known = series.values[: last_boundary(series.start, len(series))]
    key = _digest(VERSION, series.start.isoformat(), str(horizon), known.tobytes())
    path = FOLDER / f"{_digest(name, str(horizon))[:16]}.npz"
    models = _read(path, key)
    if models is None:
        models = fit(series.values, series.start, horizon)
        _write(path, key, models)
    return models


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _read(path: Path, key: str) -> list[StepModel] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            sizes, weights = file["sizes"], file["weights"]
            parts = np.split(weights, np.cumsum(sizes)[:-1]) if len(sizes) else []
            return [
                StepModel(part, float(share), float(width))
                for part, share, width in zip(parts, file["shares"], file["widths"], strict=True)
            ]
    except (OSError, ValueError, KeyError, BadZipFile):
        return None


def _write(path: Path, key: str, models: list[StepModel]) -> None:
    """A disk that is full costs the next caller a fit, nothing else."""
    content = {
        "key": np.array(key),
        "sizes": np.array([len(model.weights) for model in models], dtype=np.int64),
        "weights": np.concatenate([model.weights for model in models] or [np.empty(0)]),
        "shares": np.array([model.share for model in models]),
        "widths": np.array([model.width for model in models]),
    }
    try:
        with artifacts.atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **content)  # type: ignore[arg-type]
    except ArtifactError:
        return
