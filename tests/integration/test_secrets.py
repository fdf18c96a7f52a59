"""A whole run on live sources that need tokens: nothing that it leaves behind holds one."""

import base64
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lowtide.carbon.wall import SystemWall
from tests.carbon.fakes.electricity_maps import TOKEN, FakeElectricityMaps
from tests.carbon.fakes.series import Series
from tests.carbon.fakes.server import Fake, serving
from tests.carbon.fakes.watttime import PASSWORD, USER, FakeWattTime

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

WRONG = "em-token-of-somebody-else-77"
SECRETS = (
    TOKEN, WRONG, PASSWORD, "jwt-secret-",
    base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
)  # fmt: skip
SOURCES = {
    "electricity-maps": ("DE", FakeElectricityMaps, {"ELECTRICITY_MAPS_TOKEN": TOKEN}),
    "watttime": (
        "CAISO_NORTH", FakeWattTime, {"WATTTIME_USER": USER, "WATTTIME_PASSWORD": PASSWORD},
    ),
}  # fmt: skip


@pytest.fixture(params=list(SOURCES))
def told(request: pytest.FixtureRequest, project: Any) -> Iterator[dict[str, str]]:
    """params.yaml names a source that answers in real time; yields the tokens it wants."""
    zone, fake, tokens = SOURCES[request.param]
    api: Fake = fake(SystemWall(), Series(seed=3))
    with serving(api):
        project.edit(
            carbon={
                "source": request.param, "zone": zone, "base_url": api.url, "trace": None,
                "replay_start": None,
            },
            schedule={"deadline_hours": 0},
            train={"learning_rate": 0.01 * len(zone)},  # for each source the stages run anew
        )  # fmt: skip
        yield tokens
    assert api.count() > 3


def holding_secrets(*folders: Path) -> list[str]:
    """Files that hold one of the secrets, with which; the tests in the checkout make them up."""
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != "tests"
    ]
    return [
        f"{path}: {secret}"
        for path in files
        for secret in SECRETS
        if secret.encode() in path.read_bytes()
    ]


def test_no_token_stays_anywhere(project: Any, told: dict[str, str], prefect_home: Path) -> None:
    done = project.flow(**told)
    commands = (
        ("forecast", "--hours", "12"),
        ("plan", "--work-hours", "1", "--deadline-hours", "6"),
        ("exec", "--deadline", "60s", "--work", "59s", "--json", "--", sys.executable, "-c", "1"),
    )
    printed = [done.stdout, done.stderr]
    for command in commands:
        done = project.run("lowtide", *command, **told)
        printed += [done.stdout, done.stderr]
    kept = project.folder / f"kept-{len(told)}"
    shutil.move(project.folder / ".lowtide/carbon", kept)  # nothing that was kept answers
    refused = project.run(
        "lowtide", "intensity", "--json", check=False, **dict.fromkeys(told, WRONG)
    )
    assert refused.returncode != 0 or json.loads(refused.stdout)["rung"] != "provider"
    printed += [refused.stdout, refused.stderr]
    assert [text for text in printed if any(secret in text for secret in SECRETS)] == []
    assert (project.folder / "mlflow.db").stat().st_size > 0
    assert (project.folder / "reports/passport.html").exists()
    assert list(kept.glob("*.json"))
    assert holding_secrets(project.folder, prefect_home) == []
