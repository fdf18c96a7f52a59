"""Checks of machine and checkout, each with what to do when it fails."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from lowtide.carbon.sources import open_source
from lowtide.clock import SystemClock
from lowtide.data.sources import require_paths
from lowtide.energy.sources import EnergySource, open_sources
from lowtide.errors import LowtideError, ParamsError
from lowtide.params import load_params
from lowtide.tracking import tracking_uri
from lowtide.tracking.sender import redact, without_password

NEEDED = ("prefect", "dvc", "codecarbon", "torch", "onnx", "onnxruntime", "torch_pruning", "mlflow")
LEAST_FREE_GB = 2.0
ANSWER_S = 3.0  # a server that takes longer counts as away
Found = tuple[bool, str, str]  # ok, detail, fix


def check_all(params_file: Path) -> list[dict[str, Any]]:
    checks: dict[str, Callable[[], Found]] = {
        "python": _python,
        "packages": _packages,
        "mlflow": _mlflow,
        "prefect": _prefect,
        "git": _git,
        "disk": _disk,
        "params": lambda: _params(params_file),
        "data": lambda: _data(params_file),
        "models": lambda: _models(params_file),
        "carbon": lambda: _carbon(params_file),
        "energy": lambda: _energy(open_sources()),
    }
    results = []
    for name, check in checks.items():
        try:
            ok, detail, fix = check()
        except ParamsError:
            ok, detail, fix = False, f"not known before {params_file} is valid", "see params"
        except LowtideError as error:
            ok, detail, fix = False, str(error), "see the message"
        results.append({"name": name, "ok": ok, "detail": detail, "fix": "" if ok else fix})
    return results


def _python() -> Found:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return sys.version_info >= (3, 11), version, "install Python 3.11 or 3.12, then `make setup`"


def _packages() -> Found:
    missing = [name for name in NEEDED if not _is_installed(name)]
    detail = f"missing: {', '.join(missing)}" if missing else "all installed"
    return not missing, detail, "`make setup`, or pip install 'lowtide[cpu]'"


def _is_installed(name: str) -> bool:
    """A folder of that name, as the checkout's `mlflow/`, is no package: it has no origin."""
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


def _mlflow() -> Found:
    uri = tracking_uri()
    if not uri.startswith(("http://", "https://")):
        return True, f"{without_password(uri)}, without a server", ""
    fix = "start the server of MLFLOW_TRACKING_URI or unset it; runs wait in .lowtide/journal"
    return _server(uri, fix)


def _prefect() -> Found:
    api = os.environ.get("PREFECT_API_URL")
    if not api:
        return True, "PREFECT_API_URL is not set: each run has a server of its own", ""
    return _server(api, "start the server of PREFECT_API_URL (`make ui`), or unset it")


def _server(uri: str, fix: str) -> Found:
    """Whether anything but an error of its own comes back from the server's /health."""
    named = without_password(uri)
    try:
        status = httpx.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_S).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return False, f"{named} does not answer: {redact(error, uri)}", fix
    return status < 500, f"{named} answers (HTTP {status})", fix


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
    except ParamsError as error:
        return False, str(error), f"mend {path}"
    return True, f"{path} is valid", ""


def _data(path: Path) -> Found:
    data = load_params(path).data
    try:
        require_paths(data)
    except LowtideError as error:
        return False, str(error), "see the data section of params.yaml"
    return True, data.source if data.path is None else f"{data.source} at {data.path}", ""


def _models(path: Path) -> Found:
    model = load_params(path).model
    try:
        from lowtide.models.factory import require_factory  # brings torch

        for name in (model.teacher, model.student or model.teacher):
            require_factory(name)
    except (ImportError, LowtideError) as error:
        return False, str(error), "see the model section of params.yaml"
    return True, f"{model.teacher} teaches {model.student or 'itself'}", ""


def _carbon(path: Path) -> Found:
    carbon = load_params(path).carbon
    try:
        source = open_source(carbon)
        value = source.current(carbon.replay_start or SystemClock().now())
    except LowtideError as error:
        return False, str(error), "see the carbon section of params.yaml"
    clock = "replayed" if carbon.replay_start else "now"
    return True, f"{value.intensity_g_per_kwh:.0f} g/kWh {clock}, {value.source}", ""


def _energy(sources: Sequence[EnergySource]) -> Found:
    """Each source is read once; one that fails is named, and the others are read all the same."""
    found, failed = [], []
    for source in sources:
        try:
            found += [f"{r.component} {r.provenance} ({r.source})" for r in source.read()]
        except LowtideError as error:
            failed.append(str(error))
        finally:
            source.close()
    detail = "; ".join([*found, *failed]) or "nothing here can tell joules"
    fix = "install codecarbon for an estimate of the CPU; a source that fails makes energy unknown"
    return bool(found) and not failed, detail, fix
