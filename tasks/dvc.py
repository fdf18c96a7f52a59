"""DVC as a subprocess: which stages are stale, and running one of them."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled, Completed, Failed, State

from lowtide.artifacts import DEFERRED, FAILURE, STAGES
from lowtide.errors import UsageError
from lowtide.lock import HELD
from lowtide.training.pacing import MAY_DEFER

REPRODUCE = Path(__file__).with_name("reproduce.py")
STOP_S = 30.0  # for a stage to write its checkpoint when the flow is interrupted


@task(name="find-stale-stages", cache_policy=NO_CACHE)
def find_stale_stages() -> list[str]:
    """The stages that DVC would run again, in order: each changed one and all that follow it."""
    _query("repro", "--single-item", "--quiet", "inputs")
    status = json.loads(_query("status", "--json"))
    changed = [name for name in STAGES if name in status]
    return list(STAGES[STAGES.index(changed[0]) :]) if changed else []


@task(cache_policy=NO_CACHE)
def run_stage(stage: str, stale: bool, may_defer: bool) -> State:
    """Bring one stage up to date. Its own output goes to the terminal as it comes."""
    if not stale:
        return Completed(name="Cached", message=f"{stage} is up to date")
    for note in (DEFERRED, FAILURE):
        note.unlink(missing_ok=True)
    code = _reproduce(stage, may_defer=may_defer)
    if DEFERRED.exists():
        return Cancelled(name="Deferred", message=f"{stage} waits for clean power")
    if code != 0:
        known = FAILURE.exists()
        reason = FAILURE.read_text("utf-8") if known else "what it printed above says why"
        return Failed(message=f"stage {stage} failed: {reason}")
    return Completed(message=f"{stage} is done")


def _query(*arguments: str) -> str:
    """What DVC prints. UsageError, with DVC's last line, if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        env=_environment(may_defer=False),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UsageError(f"dvc {arguments[0]} failed: {said}")
    return done.stdout


def _reproduce(stage: str, *, may_defer: bool) -> int:
    """Its exit code. If this process is interrupted, DVC and the stage below it are, too."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(REPRODUCE), stage],  # -P: tasks/dvc.py is not DVC
        env=_environment(may_defer=may_defer),
        start_new_session=True,
    )
    try:
        return process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        raise


def _environment(*, may_defer: bool) -> dict[str, str]:
    bin_folder = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", "")]),
        "DVC_NO_ANALYTICS": "1",
        HELD: "1",
        MAY_DEFER: "1" if may_defer else "0",
    }
