"""A pipeline run lives on between processes, with its deadline and its place on the clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lowtide.params import Params, load_params
from lowtide.session import leave, load_session, open_session

PARAMS = load_params(Path(__file__).parent.parent / "params.yaml")


def of_today() -> Params:
    carbon = PARAMS.carbon.model_copy(update={"replay_start": None})
    return PARAMS.model_copy(update={"carbon": carbon})


def test_a_session_goes_on_where_it_was_left(tmp_path: Path) -> None:
    first, clock = open_session(tmp_path, PARAMS)
    assert clock.replay
    assert first.deadline == first.arrived_at + timedelta(hours=PARAMS.schedule.deadline_hours)
    left_at = first.arrived_at + timedelta(hours=5)
    leave(tmp_path, first, left_at)
    second, clock = open_session(tmp_path, PARAMS)
    assert second.pipeline_id == first.pipeline_id
    assert second.deadline == first.deadline
    assert timedelta(0) <= clock.now() - left_at < timedelta(hours=1)


def test_a_finished_session_is_followed_by_a_new_one(tmp_path: Path) -> None:
    first, clock = open_session(tmp_path, PARAMS)
    leave(tmp_path, first, clock.now(), done=True)
    second, _ = open_session(tmp_path, PARAMS)
    assert second.pipeline_id != first.pipeline_id
    assert second.arrived_at == PARAMS.carbon.replay_start


def test_a_deferred_run_keeps_its_deadline(tmp_path: Path) -> None:
    arrived_at = datetime(2026, 1, 1, 8, tzinfo=UTC)
    session, clock = open_session(tmp_path, of_today(), arrived_at)
    assert not clock.replay
    assert session.deadline == arrived_at + timedelta(hours=PARAMS.schedule.deadline_hours)


def test_a_broken_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text('{"pipeline_id": ')
    assert load_session(tmp_path) is None
    session, _ = open_session(tmp_path, PARAMS)
    assert load_session(tmp_path) == session


def test_switching_the_clock_begins_anew(tmp_path: Path) -> None:
    first, _ = open_session(tmp_path, PARAMS)
    second, clock = open_session(tmp_path, of_today())
    assert second.pipeline_id != first.pipeline_id
    assert not clock.replay


def test_another_teacher_begins_anew_another_learning_rate_does_not(tmp_path: Path) -> None:
    first, _ = open_session(tmp_path, PARAMS)
    slower = PARAMS.train.model_copy(update={"learning_rate": 0.001})
    second, _ = open_session(tmp_path, PARAMS.model_copy(update={"train": slower}))
    assert second.pipeline_id == first.pipeline_id
    model = PARAMS.model.model_copy(update={"teacher": "mine:net"})
    third, _ = open_session(tmp_path, PARAMS.model_copy(update={"model": model}))
    assert third.pipeline_id != first.pipeline_id
    assert third.params["model.teacher"] == "mine:net"


def test_a_teacher_that_is_its_own_student_is_another_pipeline(tmp_path: Path) -> None:
    """Not that of a student which is a network of the same name, begun anew."""
    named = PARAMS.model.model_copy(update={"student": PARAMS.model.teacher})
    first, _ = open_session(tmp_path, PARAMS.model_copy(update={"model": named}))
    null = PARAMS.model.model_copy(update={"student": None})
    second, _ = open_session(tmp_path, PARAMS.model_copy(update={"model": null}))
    assert second.pipeline_id != first.pipeline_id
    third, _ = open_session(tmp_path, PARAMS.model_copy(update={"model": null}))
    assert third.pipeline_id == second.pipeline_id


def test_another_deadline_begins_anew(tmp_path: Path) -> None:
    first, _ = open_session(tmp_path, PARAMS)
    schedule = PARAMS.schedule.model_copy(update={"deadline_hours": 12.0})
    second, _ = open_session(tmp_path, PARAMS.model_copy(update={"schedule": schedule}))
    assert second.pipeline_id != first.pipeline_id
    assert second.deadline == second.arrived_at + timedelta(hours=12)
