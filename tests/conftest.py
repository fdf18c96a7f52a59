"""Shared by all tests: a checkout of their own, and one thread for torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent

# Small enough for a test, real all the same.
QUICK = {
    "train": {"epochs": 2, "batch_size": 8, "precision": "fp32"},
    "distill": {"epochs": 2, "batch_size": 8, "precision": "fp32"},
    "prune": {"epochs": 1, "batch_size": 8, "precision": "fp32"},
    "model": {"teacher": "tidenet-s", "student": "tidenet-xs"},
    "quantize": {"calibration_images": 8, "val_accuracy_drop_max": 1.0},
    "evaluate": {"num_repeats": 2, "num_threads": 1, "batch_size": 8},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one, with no server in reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return tmp_path


@pytest.fixture
def write_params(checkout: Path) -> Callable[..., Path]:
    """Write params.yaml: the default, made quick, with sections changed by keyword."""

    def write(**changes: dict[str, Any]) -> Path:
        content = yaml.safe_load((ROOT / "params.yaml").read_text())
        for source in (QUICK, changes):
            for section, values in source.items():
                content[section] |= values
        path = checkout / "params.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write
