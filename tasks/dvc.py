"""DVC as a subprocess: which stages are stale, and running one of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled, Completed, Failed, State

from lowtide.artifacts import DEFERRED, STAGES
from lowtide.lock import HELD
from lowtide.training.pacing import MAY_DEFER


@task(name="find-stale-stages", cache_policy=NO_CACHE)
def find_stale_stages() -> list[str]:
    """The stages that DVC would run again, in order: each changed one and all that follow it."""
    done = _dvc("status", "--json", capture=True)
    if done.returncode != 0:
        raise RuntimeError(f"dvc status failed: {done.stderr.strip().splitlines()[-1]}")
    changed = [name for name in STAGES if name in json.loads(done.stdout)]
    return list(STAGES[STAGES.index(changed[0]) :]) if changed else []


@task(cache_policy=NO_CACHE)
def run_stage(stage: str, stale: bool, may_defer: bool) -> State:
    """Bring one stage up to date. Its own output goes to the terminal as it comes."""
    if not stale:
        return Completed(name="Cached", message=f"{stage} is up to date")
    done = _dvc("repro", "--single-item", stage, may_defer=may_defer)
    if DEFERRED.exists():
        return Cancelled(name="Deferred", message=f"{stage} waits for clean power")
    if done.returncode != 0:
        return Failed(message=f"stage {stage} failed: its last line above says why")
    return Completed(message=f"{stage} is done")


def _dvc(
    *arguments: str, capture: bool = False, may_defer: bool = False
) -> subprocess.CompletedProcess[str]:
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", "")]),
        "DVC_NO_ANALYTICS": "1",
        HELD: "1",
        MAY_DEFER: "1" if may_defer else "0",
    }
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, env=environment, capture_output=capture, text=True, check=False)
