"""Promotions killed at twenty seeded points: the alias names a whole champion, old or new."""

import os
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.registry.conftest import empty_store
from tests.registry.killed import Point
from tests.registry.kills import Contest

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
