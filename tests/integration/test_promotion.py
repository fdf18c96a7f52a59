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
from tests.registry.killed import Point
from tests.registry.kills import Contest
from tests.registry.race import require_one_winner
from tests.registry.stores import version_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
NUM_POINTS = int(os.environ.get("LOWTIDE_KILLED_PROMOTIONS", "20"))
CALLS = {True: 13, False: 16}  # of a promotion, whose version is registered already or not
__all__ = ["empty_store"]


@pytest.mark.parametrize("number", range(NUM_POINTS))
def test_a_killed_promotion_leaves_the_old_champion_or_the_new(
    checkout: Path, empty_store: Path, number: int
) -> None:
    random = Random(number)
    registered = number % 4 != 0
    point = Point(random.randint(1, CALLS[registered]), after=random.random() < 0.5)
    shutil.copy(empty_store, checkout / "mlflow.db")
    store = f"sqlite:///{checkout / 'mlflow.db'}"
    Contest.begun(store, checkout, registered).require_survives(point)


def test_the_same_holds_through_a_server(checkout: Path, mlflow_server: Any) -> None:
    """Two at once, then the champion's file as it was promoted."""
    require_one_winner(mlflow_server.uri, checkout)
    served = fetch_champion(mlflow_server.uri)
    assert served == champion_version(mlflow_server.uri)
    assert file_sha256(CHAMPION_ONNX) == version_of(mlflow_server.uri, served).tags[SHA256]
