"""Checks of machine and checkout, each with what to do when it fails."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lowtide.carbon.sources import open_source
from lowtide.clock import SystemClock
from lowtide.errors import LowtideError
from lowtide.params import load_params
from lowtide.tracking import tracking_uri

NEEDED = ("prefect", "dvc", "codecarbon", "torch", "onnx", "onnxruntime", "torch_pruning")
LEAST_FREE_GB = 2.0
Found = tuple[bool, str, str]  # ok, detail, fix


def check_all(params_file: Path) -> list[dict[str, Any]]:
    checks: dict[str, Callable[[], Found]] = {
        "python": _python,
        "packages": _packages,
        "mlflow": _mlflow,
        "git": _git,
        "disk": _disk,
        "params": lambda: _params(params_file),
        "carbon": lambda: _carbon(params_file),
        "energy": _energy,
    }
    results = []
    for name, check in checks.items():
        ok, detail, fix = check()
        results.append({"name": name, "ok": ok, "detail": detail, "fix": "" if ok else fix})
    return results


def _python() -> Found:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return sys.version_info >= (3, 11), version, "install Python 3.11 or 3.12, then `make setup`"


def _packages() -> Found:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    detail = f"missing: {', '.join(missing)}" if missing else "all installed"
    return not missing, detail, "`make setup`, or pip install 'lowtide[cpu]'"


def _mlflow() -> Found:
    import mlflow

    installed = hasattr(mlflow, "MlflowClient")
    return installed, tracking_uri().rpartition("@")[2] if installed else "missing", "`make setup`"


def _git() -> Found:
    if shutil.which("git") is None:
        return False, "no git", "install git: DVC and the commit in each report need it"
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    ok = done.returncode == 0
    return ok, done.stdout.strip() or "no commit here", "run lowtide inside a git checkout"


def _disk() -> Found:
    free_gb = shutil.disk_usage(".").free / 1e9
    return free_gb > LEAST_FREE_GB, f"{free_gb:.1f} GB free", f"free {LEAST_FREE_GB} GB"


def _params(path: Path) -> Found:
    try:
        load_params(path)
    except LowtideError as error:
        return False, str(error), f"mend {path}"
    return True, f"{path} is valid", ""


def _carbon(path: Path) -> Found:
    try:
        carbon = load_params(path).carbon
        source = open_source(carbon)
        value = source.current(carbon.replay_start or SystemClock().now())
    except LowtideError as error:
        return False, str(error), "see the carbon section of params.yaml"
    clock = "replayed" if carbon.replay_start else "now"
    return True, f"{value.intensity_g_per_kwh:.0f} g/kWh {clock}, {value.source}", ""


def _energy() -> Found:
    from lowtide.energy.sources import open_sources

    sources = open_sources()
    readings = [reading for source in sources for reading in source.read()]
    for source in sources:
        source.close()
    detail = "; ".join(f"{r.component} {r.provenance} ({r.source})" for r in readings)
    fix = "install codecarbon for an estimate of the CPU"
    return bool(readings), detail or "nothing here can tell joules", fix
