"""Promotions killed with SIGKILL at a few points; tests/integration has the many."""

from pathlib import Path

import pytest

from tests.registry.killed import FORKED, Point, promote_when_free
from tests.registry.kills import Contest
from tests.registry.stores import write_model

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
    contest = Contest.begun(store, checkout, registered=True)
    rival = Contest(store, contest.champion, write_model(checkout / "rival.onnx", 2.0))
    barrier, outcomes = FORKED.Barrier(2), FORKED.Queue()
    processes = [
        FORKED.Process(target=promote_when_free, args=(one.promotion(), barrier, outcomes))
        for one in (contest, rival)
    ]
    for process in processes:
        process.start()
    ended: dict[str, str] = {}
    while len(ended) < 2:
        kind, outcome = outcomes.get(timeout=240)
        if kind == "held":
            assert "another promotion is under way: pid" in outcome
        else:
            assert kind not in ended
            ended[kind] = outcome
    for process in processes:
        process.join(60)
    assert "promoted" in ended["champion"]
    assert "by now version" in ended["refused"]
