"""Promotions killed at twenty seeded points, and side by side through a server: the alias names a
whole champion, old or new."""

import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lowtide.artifacts import CHAMPION_ONNX, file_sha256
from lowtide.registry import champion_version, fetch_champion
from lowtide.registry.client import SHA256
from tests.registry.conftest import empty_store
from tests.registry.killed import Point, num_statements
from tests.registry.kills import Contest
from tests.registry.race import require_one_winner
from tests.registry.stores import version_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
NUM_POINTS = int(os.environ.get("LOWTIDE_KILLED_PROMOTIONS", "20"))
__all__ = ["empty_store"]


@pytest.fixture(scope="module")
def statements(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, int]:
    """Of a whole promotion in the database, whose version is registered already or not."""
    found = {}
    for registered in (True, False):
        folder = tmp_path_factory.mktemp("whole")
        shutil.copy(empty_store, folder / "mlflow.db")
        with pytest.MonkeyPatch.context() as here:
            here.chdir(folder)
            contest = Contest.begun(f"sqlite:///{folder / 'mlflow.db'}", folder, registered)
            found[registered] = num_statements(contest.promotion())
    return found


@pytest.mark.parametrize("number", range(NUM_POINTS))
def test_a_killed_promotion_leaves_the_old_champion_or_the_new(
    checkout: Path, empty_store: Path, statements: dict[bool, int], number: int
) -> None:
    """Half of them have the files to register, too."""
    random, registered = Random(number), number % 2 == 0
    point = Point(random.randint(1, statements[registered]), after=random.random() < 0.5)
    shutil.copy(empty_store, checkout / "mlflow.db")
    store = f"sqlite:///{checkout / 'mlflow.db'}"
    assert Contest.begun(store, checkout, registered).require_survives(point)


def test_the_same_holds_through_a_server(
    checkout: Path, mlflow_server: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two at once, then the champion's file as it was promoted; its password is told to nobody."""
    uri = mlflow_server.uri.replace("//", "//me:secret@")
    require_one_winner(uri, checkout)
    served = fetch_champion(uri)
    assert served == champion_version(uri)
    assert file_sha256(CHAMPION_ONNX) == version_of(uri, served).tags[SHA256]
    assert "secret" not in "".join(capfd.readouterr())
