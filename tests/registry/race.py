"""Two promotions at once, each judged against the same champion."""

from pathlib import Path

from lowtide.registry import champion_version, history
from tests.registry.killed import FORKED, promote_when_free
from tests.registry.kills import Contest
from tests.registry.stores import write_model


def require_one_winner(store: str, folder: Path) -> None:
    """One is champion; the other hears of the lock, if it was held, and then who is champion."""
    ended = _ended(Contest.begun(store, folder, registered=True), folder)
    assert "promoted" in ended["champion"]
    assert "by now version" in ended["refused"]
    told = history(store)
    assert [event.kind for event in told] == ["first", "promoted"]
    assert champion_version(store) == told[-1].version


def _ended(contest: Contest, folder: Path) -> dict[str, str]:
    rival = Contest(contest.store, contest.champion, write_model(folder / "rival.onnx", 2.0))
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
    return ended
