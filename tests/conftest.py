"""Shared by all tests: a checkout of their own, and one thread for torch."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

# The same examples each time: a failure is of the change, not of the day. To look for new ones:
# HYPOTHESIS_PROFILE=default.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

ROOT = Path(__file__).parent.parent

# Small enough for a test, real all the same.
QUICK = {
    "train": {"epochs": 2, "batch_size": 8, "precision": "fp32"},
    "distill": {"epochs": 2, "batch_size": 8, "precision": "fp32"},
    "prune": {
        "epochs": 1,
        "batch_size": 8,
        "precision": "fp32",
        "round_to": 8,
        "importance_batches": 2,
        "sensitivity_images": 16,
        "rounds": 1,
    },
    "model": {"teacher": "tidenet-m", "student": "tidenet-xs"},
    "compress": {"energy_ratio_min": None, "roll_back": False, "num_repeats": 2},
    "quantize": {"calibration_images": 8, "sensitivity_layers": 2, "val_accuracy_drop_max": 1.0},
    "evaluate": {"num_repeats": 5, "num_threads": 1, "batch_size": 8},
    "controller": {"batch_sizes": [], "land": False, "gates": True, "decisions": None},
}
LENIENT = {
    "accuracy_min": 0.2,
    "accuracy_drop_max": 1.0,
    "worst_class_recall_min": 0.0,
    "onnx_agreement_min": 0.5,
    "calibration_error_max": 1.0,
    "champion_drop_max": 1.0,
    "robustness_drop_max": 1.0,
    "expected_inferences": 1e15,
}


LONGEST = ("tests/flows/test_pipeline.py", "tests/stages/", "tests/search/", "tests/tasks/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first, so that no process is left alone with one at the end."""

    def turn(item: pytest.Item) -> int:
        starts = [item.nodeid.startswith(one) for one in LONGEST]
        return starts.index(True) if any(starts) else len(LONGEST)

    items.sort(key=turn)


@pytest.fixture(scope="session", autouse=True)
def _interrupts_are_heard() -> None:
    """A shell's background job begins with SIGINT ignored, and its children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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


def copy_tree(folder: Path) -> None:
    """What git knows or would add, as it stands, without git itself."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def edit_params(path: Path, **changes: dict[str, Any]) -> None:
    """Change sections of a params file by keyword."""
    content = yaml.safe_load(path.read_text())
    for section, values in changes.items():
        content[section] |= values
    path.write_text(yaml.safe_dump(content))


@pytest.fixture
def write_params(checkout: Path) -> Callable[..., Path]:
    """Write params.yaml: the default, made quick, with sections changed by keyword."""

    def write(**changes: dict[str, Any]) -> Path:
        path = checkout / "params.yaml"
        shutil.copy(ROOT / "params.yaml", path)
        edit_params(path, **QUICK)
        edit_params(path, **changes)
        return path

    return write


class Project:
    """A git checkout of the working tree in a folder of its own, run by subprocess."""

    def __init__(self, folder: Path, prefect_home: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not _foreign(name)},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(folder / "src"),
            "PREFECT_HOME": str(prefect_home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": "1",
        }
        copy_tree(folder)
        edit_params(folder / "params.yaml", **QUICK, budgets=LENIENT)
        for stage in ("train", "distill", "prune"):
            edit_params(folder / "params.yaml", **{stage: {"epochs": 1, "batch_size": 32}})
        self.commit()
        self.run("git", "update-index", "--skip-worktree", "dvc.lock")

    def commit(self) -> None:
        self.run("git", "init", "--quiet")
        self.run("git", "add", "--all")
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        self.run("git", *who, "commit", "--quiet", "--allow-empty", "-m", "state")

    def edit(self, **changes: dict[str, Any]) -> None:
        edit_params(self.folder / "params.yaml", **changes)

    def run(
        self, *command: str, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env={**self.environment, **environment},
            capture_output=True, text=True, check=False, timeout=280,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, *command: str, log: Path, **environment: str) -> "subprocess.Popen[bytes]":
        with log.open("ab") as file:
            return subprocess.Popen(
                command, cwd=self.folder, env={**self.environment, **environment},
                stdout=file, stderr=file,
            )  # fmt: skip

    def flow(self, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "flows.pipeline", check=check, **environment)

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"


def _foreign(name: str) -> bool:
    return name.startswith(("MLFLOW_", "PREFECT_", "LOWTIDE_", "PYTEST_"))


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Prefect database that is made once."""
    home = tmp_path_factory.mktemp("prefect")
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
        env={**os.environ, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
        capture_output=True, check=True,
    )  # fmt: skip
    return home


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, prefect_home: Path) -> Project:
    return Project(tmp_path_factory.mktemp("project"), prefect_home)
