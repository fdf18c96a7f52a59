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
VERSION = "2"  # of the features; a file of another one is fitted anew


def models_for(series: Hourly, horizon: int, name: str) -> list[StepModel]:
    """The models in force for a series, from disk if they were fitted on the same hours."""
    num = last_boundary(series.start, len(series))
    known = [series.values[:num].tobytes()]
    if series.drivers is not None:
        drivers = series.drivers.aligned(series.start, num, 0)
        known += [drivers.seen.tobytes(), drivers.coming.tobytes()]
    key = _digest(VERSION, series.start.isoformat(), str(horizon), *known)
    path = FOLDER / f"{_digest(name, str(horizon))[:16]}.npz"
    models = _read(path, key)
    if models is None:
        models = fit(series, horizon)
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
            rows = zip(
                _split(file["weights"], file["sizes"]), file["driver_weights"], file["numbers"],
                strict=True,
            )  # fmt: skip
            return [
                StepModel(weights, driver_weights, *(float(number) for number in numbers))
                for weights, driver_weights, numbers in rows
            ]
    except (OSError, ValueError, KeyError, BadZipFile):
        return None


def _split(weights: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    return np.split(weights, np.cumsum(sizes)[:-1]) if len(sizes) else []


def _write(path: Path, key: str, models: list[StepModel]) -> None:
    """A disk that is full costs the next caller a fit, nothing else."""
    content = {
        "key": np.array(key),
        "sizes": np.array([len(model.weights) for model in models], dtype=np.int64),
        "weights": np.concatenate([model.weights for model in models] or [np.empty(0)]),
        "driver_weights": np.array([model.driver_weights for model in models]),
        "numbers": np.array([[model.trust, model.share, model.width] for model in models]),
    }
    try:
        with artifacts.atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **content)  # type: ignore[arg-type]
    except ArtifactError:
        return
