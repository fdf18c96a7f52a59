"""What DVC says is stale, in a real repository; and what a stage's end becomes."""

import json
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from lowtide import artifacts
from lowtide.artifacts import STAGES
from tasks.dvc import find_stale_stages, run_stage

pytestmark = pytest.mark.usefixtures("checkout")


@pytest.fixture(autouse=True)
def repository(checkout: Path) -> Path:
    """Each stage copies its predecessor's file; `prepare` reads what `inputs` has looked at."""
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        subprocess.run(command, check=True, capture_output=True)
    (checkout / "source.txt").write_text("1")
    lines, before = ["stages:", "  inputs:", "    cmd: cp source.txt seen.txt",
                     "    always_changed: true", "    outs: [seen.txt]"], "seen.txt"  # fmt: skip
    for stage in STAGES:
        lines += [
            f"  {stage}:",
            f"    cmd: cp {before} {stage}.txt",
            f"    deps: [{before}]",
            f"    outs: [{stage}.txt]",
        ]
        before = f"{stage}.txt"
    (checkout / "dvc.yaml").write_text("\n".join(lines) + "\n")
    return checkout


def test_everything_is_stale_at_first_and_nothing_afterwards() -> None:
    assert find_stale_stages.fn() == list(STAGES)
    subprocess.run(["dvc", "repro", "-q"], check=True)
    assert find_stale_stages.fn() == []


def test_an_input_that_changed_outside_makes_everything_stale(repository: Path) -> None:
    subprocess.run(["dvc", "repro", "-q"], check=True)
    (repository / "source.txt").write_text("2")
    assert find_stale_stages.fn() == list(STAGES)


def test_what_follows_a_changed_stage_is_stale_too(repository: Path) -> None:
    subprocess.run(["dvc", "repro", "-q"], check=True)
    file = repository / "dvc.yaml"
    file.write_text(file.read_text().replace("cp distill.txt", "cp  distill.txt"))
    assert find_stale_stages.fn() == list(STAGES[STAGES.index("prune") :])


def test_a_fresh_stage_is_cached_and_a_stale_one_run(repository: Path) -> None:
    assert run_stage.fn("prepare", False, False).name == "Cached"
    find_stale_stages.fn()
    assert run_stage.fn("prepare", True, False).is_completed()
    assert (repository / "prepare.txt").read_text() == "1"


def test_a_failing_stage_is_a_failed_state_whatever_was_deferred_before(repository: Path) -> None:
    artifacts.DEFERRED.parent.mkdir()
    artifacts.DEFERRED.write_text(json.dumps({"until": "2026-01-01T00:00:00Z"}))
    assert not (repository / "seen.txt").exists()
    failed = run_stage.fn("prepare", True, False)
    assert failed.is_failed()
    assert "prepare" in str(failed.message)


def test_a_stage_that_waits_for_clean_power_is_deferred(repository: Path) -> None:
    artifacts.DEFERRED.parent.mkdir()
    file = repository / "dvc.yaml"
    waits = f"sh -c 'echo 1 > {artifacts.DEFERRED}; exit 75'"
    file.write_text(file.read_text().replace("cmd: cp seen.txt prepare.txt", f"cmd: {waits}"))
    find_stale_stages.fn()
    assert run_stage.fn("prepare", True, True).name == "Deferred"


def test_an_interrupted_flow_leaves_no_stage_behind(repository: Path) -> None:
    file = repository / "dvc.yaml"
    sleeps = "sh -c 'echo $$ > pid; exec sleep 60'"
    file.write_text(file.read_text().replace("cmd: cp seen.txt prepare.txt", f"cmd: {sleeps}"))
    find_stale_stages.fn()

    def interrupt() -> None:
        while not (repository / "pid").exists():
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_stage.fn("prepare", True, False)
    assert not psutil.pid_exists(int((repository / "pid").read_text()))
