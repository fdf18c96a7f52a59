"""What DVC says is stale, in a real repository; and what a stage's end becomes."""

import json
import subprocess
from pathlib import Path

import pytest

from lowtide import artifacts
from lowtide.artifacts import STAGES
from tasks.dvc import find_stale_stages, run_stage

pytestmark = pytest.mark.usefixtures("checkout")


@pytest.fixture(autouse=True)
def repository(checkout: Path) -> Path:
    """Each stage copies its predecessor's file; `prepare` reads source.txt."""
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        subprocess.run(command, check=True, capture_output=True)
    (checkout / "source.txt").write_text("1")
    lines, before = ["stages:"], "source.txt"
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


def test_what_follows_a_changed_stage_is_stale_too(repository: Path) -> None:
    subprocess.run(["dvc", "repro", "-q"], check=True)
    file = repository / "dvc.yaml"
    file.write_text(file.read_text().replace("cp distill.txt", "cp  distill.txt"))
    assert find_stale_stages.fn() == list(STAGES[STAGES.index("prune") :])


def test_a_fresh_stage_is_cached_and_a_stale_one_run(repository: Path) -> None:
    assert run_stage.fn("prepare", False, False).name == "Cached"
    assert run_stage.fn("prepare", True, False).is_completed()
    assert (repository / "prepare.txt").read_text() == "1"


def test_a_failing_stage_is_a_failed_state_and_a_waiting_one_is_deferred(repository: Path) -> None:
    (repository / "source.txt").unlink()
    failed = run_stage.fn("prepare", True, False)
    assert failed.is_failed()
    assert "prepare" in str(failed.message)
    artifacts.DEFERRED.parent.mkdir()
    artifacts.DEFERRED.write_text(json.dumps({"until": "2026-01-01T00:00:00Z"}))
    assert run_stage.fn("prepare", True, True).name == "Deferred"
