"""A checkout with data and a teacher, as `lowtide search` finds it; made once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lowtide.stages.run import run_stage
from tests.conftest import QUICK, ROOT, edit_params
from tests.search.searching import quick

SPACE = {
    "student.width": [8, 16],
    "distill.learning_rate": {"low": 0.03, "high": 0.3, "log": True},
}
CHANGES: dict[str, dict[str, Any]] = {
    **QUICK,
    "train": {"epochs": 2, "batch_size": 64, "precision": "fp32"},
    "distill": {"epochs": 3, "batch_size": 64, "precision": "fp32"},
    "controller": {"batch_sizes": [], "land": False, "gates": False},
    "carbon": {"source": "typical", "trace": None, "replay_start": None},
    "schedule": {"deadline_hours": 0},
    "search": {"space": SPACE, "rungs": 1, "num_repeats": 2},
}


def make_trained(folder: Path) -> None:
    shutil.copy(ROOT / "params.yaml", folder)
    edit_params(folder / "params.yaml", **CHANGES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LOWTIDE_RECORDS_DELIVERED", "1")
        for stage in ("prepare", "train"):
            run_stage(stage)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    make_trained(folder)
    return folder


@pytest.fixture
def searchable(
    trained: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Make the current folder such a checkout, with sections changed by keyword; its params.

    Energy is processor time, and probes are short.
    """
    quick(monkeypatch.setattr)
    monkeypatch.setenv("LOWTIDE_RECORDS_DELIVERED", "1")

    def make(**changes: dict[str, Any]) -> Path:
        shutil.copytree(trained / "artifacts", checkout / "artifacts")
        path = Path(shutil.copy(trained / "params.yaml", checkout))
        edit_params(path, **changes)
        return path

    return make
