"""What the files in deploy/ promise, as far as it can be held without a container engine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import copy_tree

ROOT = Path(__file__).parent.parent
APPLY = "scripts/apply_deployments.sh"


def services() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())[
        "services"
    ]
    return content


def test_the_pool_is_made_before_what_is_deployed_to_it() -> None:
    """Prefect refuses a deployment to a pool that does not exist, and the worker would restart."""
    script = (ROOT / APPLY).read_text()
    pools = {
        deployment["work_pool"]["name"]
        for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    }
    assert pools == {"local", "balance"}
    for pool in pools:
        assert script.index(f"work-pool create {pool}") < script.index("deploy --all")
    command = " ".join(services()["worker"]["command"])
    assert command.index(APPLY) < command.index("worker start --pool local")
    assert APPLY in (ROOT / "scripts/ui.py").read_text()


def test_a_worker_takes_one_run_at_a_time() -> None:
    """Its runs share a checkout: a second one at once would end as Failed, locked out."""
    compose = " ".join(services()["worker"]["command"])
    assert "worker start --pool local --limit 1" in compose
    for name in ("deploy/Dockerfile.cpu", "deploy/Dockerfile.cuda", "scripts/ui.py"):
        assert '"--limit", "1"' in (ROOT / name).read_text(), name


def test_the_event_that_on_push_waits_for_is_emitted() -> None:
    """The same words in the trigger, the workflow and the documentation."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    (trigger,) = next(d["triggers"] for d in deployments if d["name"] == "on-push")
    (event,), resource = trigger["expect"], trigger["match"]["prefect.resource.id"]
    command = f"prefect events emit {event} --resource-id {resource}"
    assert command in (ROOT / "deploy/README.md").read_text()
    workflow = yaml.safe_load((ROOT / ".github/workflows/retrain.yml").read_text())
    assert workflow["jobs"]["announce"]["steps"][-1]["run"] == command
    assert "push" in workflow[True]  # YAML 1.1 reads the key `on` as a truth value


def test_the_event_that_on_drift_waits_for_is_the_one_that_the_watch_emits() -> None:
    from tasks.drift import EVENT, RESOURCE

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    (trigger,) = next(d["triggers"] for d in deployments if d["name"] == "on-drift")
    assert trigger["expect"] == [EVENT]
    assert trigger["match"] == {"prefect.resource.id": RESOURCE}


@pytest.mark.parametrize("dockerfile", ["Dockerfile.cpu", "Dockerfile.cuda"])
def test_folders_that_become_volumes_belong_to_the_user(dockerfile: str) -> None:
    """A volume on a folder that the image lacks belongs to root, and user 1000 cannot write."""
    made = (ROOT / "deploy/settle.sh").read_text() + (ROOT / "deploy" / dockerfile).read_text()
    folders = [line.split() for line in made.splitlines() if "mkdir -p" in line]
    names = {f"/app/{name}" if name[0] != "/" else name for line in folders for name in line}
    for service in services().values():
        if service.get("image") == "lowtide:cpu":
            targets = {volume.split(":")[1] for volume in service.get("volumes", [])}
            assert targets <= names, targets - names


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What `COPY . .` and settle.sh leave in /app: a copy without git."""
    folder = tmp_path / "app"
    copy_tree(folder)
    subprocess.run(["bash", "deploy/settle.sh"], cwd=folder, check=True)
    return folder


def dvc(folder: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(folder / "src"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dvc_works_without_git_and_its_lock_lies_on_the_volume(image: Path) -> None:
    dvc(image, "repro", "prepare")
    assert (image / "dvc.lock").is_symlink()
    written = yaml.safe_load((image / ".lowtide/dvc.lock").read_text())
    assert "prepare" in written["stages"]
    (image / "dvc.lock").unlink()  # a new container: only the volumes are the same
    shutil.rmtree(image / ".dvc/tmp")
    subprocess.run(["bash", "deploy/settle.sh"], cwd=image, check=True)
    assert "prepare" not in json.loads(dvc(image, "status", "--json", "prepare"))
