"""A pipeline run lives on between processes, with its deadline and its place on the clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lowtide.params import load_params
from lowtide.session import leave, load_session, open_session

PARAMS = load_params(Path(__file__).parent.parent / "params.yaml")
CARBON, SCHEDULE = PARAMS.carbon, PARAMS.schedule


def test_a_session_goes_on_where_it_was_left(tmp_path: Path) -> None:
    first, clock = open_session(tmp_path, CARBON, SCHEDULE)
    assert clock.replay
    assert first.deadline == first.arrived_at + timedelta(hours=SCHEDULE.deadline_hours)
    left_at = first.arrived_at + timedelta(hours=5)
    leave(tmp_path, first, left_at)
    second, clock = open_session(tmp_path, CARBON, SCHEDULE)
    assert second.pipeline_id == first.pipeline_id
    assert second.deadline == first.deadline
    assert timedelta(0) <= clock.now() - left_at < timedelta(hours=1)


def test_a_finished_session_is_followed_by_a_new_one(tmp_path: Path) -> None:
    first, clock = open_session(tmp_path, CARBON, SCHEDULE)
    leave(tmp_path, first, clock.now(), done=True)
    second, _ = open_session(tmp_path, CARBON, SCHEDULE)
    assert second.pipeline_id != first.pipeline_id
    assert second.arrived_at == CARBON.replay_start


def test_a_deferred_run_keeps_its_deadline(tmp_path: Path) -> None:
    arrived_at = datetime(2026, 1, 1, 8, tzinfo=UTC)
    carbon = CARBON.model_copy(update={"replay_start": None})
    session, clock = open_session(tmp_path, carbon, SCHEDULE, arrived_at)
    assert not clock.replay
    assert session.deadline == arrived_at + timedelta(hours=SCHEDULE.deadline_hours)


def test_a_broken_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text('{"pipeline_id": ')
    assert load_session(tmp_path) is None
    session, _ = open_session(tmp_path, CARBON, SCHEDULE)
    assert load_session(tmp_path) == session


def test_switching_the_clock_begins_anew(tmp_path: Path) -> None:
    first, _ = open_session(tmp_path, CARBON, SCHEDULE)
    second, clock = open_session(
        tmp_path, CARBON.model_copy(update={"replay_start": None}), SCHEDULE
    )
    assert second.pipeline_id != first.pipeline_id
    assert not clock.replay
