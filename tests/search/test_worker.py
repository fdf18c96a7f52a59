"""When a worker's trials are due."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lowtide.params import load_params
from lowtide.search.space import Space
from lowtide.search.worker import Worker
from tests.conftest import edit_params

START = datetime(2022, 4, 5, 3, tzinfo=UTC)
LATER = START + timedelta(days=9)
WITHIN = timedelta(hours=1)  # what a start takes, on a clock that runs fast


def due(path: Path, budget_g: float, at: datetime) -> datetime:
    """Of a trial in a search that is started at `at`."""
    edit_params(path, carbon={"source": "typical", "replay_start": at.isoformat()})
    params = load_params(path)
    with Worker.opened(params, Space.of_params(params), budget_g) as worker:
        worker.begin()
        trial = worker.study.take_over() or worker.study.ask()
        with worker.spending(None) as (window, _):
            context = worker.context(trial, params, window, worker.trial_run(trial))
    return context.session.deadline


def test_a_budget_is_due_by_when_it_was_first_given(searchable: Callable[..., Path]) -> None:
    """More of it is another job, which is planned as the first was; a restart is none."""
    path = searchable(schedule={"deadline_hours": 48})
    first = due(path, 1.0, START)
    assert timedelta() <= first - START - timedelta(hours=48) < WITHIN
    assert due(path, 1.0, LATER) == first
    more = due(path, 2.0, LATER)
    assert timedelta() <= more - LATER - timedelta(hours=48) < WITHIN
    assert due(path, 2.0, LATER + timedelta(hours=9)) == more
