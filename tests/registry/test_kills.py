"""Promotions killed with SIGKILL at a few points; tests/integration has the many."""

from pathlib import Path

import pytest

from tests.registry.killed import Point
from tests.registry.kills import Contest
from tests.registry.race import require_one_winner

MOVE = "set_registered_model_alias"  # of `candidate` first, then of `champion`


@pytest.mark.parametrize(
    "point", [Point(2, False, MOVE), Point(2, True, MOVE)], ids=["before", "after"]
)
def test_a_promotion_killed_around_the_move_of_the_alias(
    checkout: Path, store: str, point: Point
) -> None:
    assert Contest.begun(store, checkout, registered=True).require_survives(point)


def test_of_two_promotions_at_once_one_wins_and_the_other_hears_why(
    checkout: Path, store: str
) -> None:
    require_one_winner(store, checkout)
