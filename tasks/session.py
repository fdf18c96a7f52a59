"""The session of a flow run: taken up, begun anew, or given up."""

from datetime import datetime, timedelta
from pathlib import Path

from lowtide import artifacts, session
from lowtide.clock import SystemClock
from lowtide.params import load_params
from lowtide.tracking import Tracker

PARAMS = Path("params.yaml")


def begin(arrived_at: datetime | None, deadline_hours: float | None) -> session.Session:
    """Go on with this checkout's session, or open one; one that is left for it has ended.

    A run that comes back after a deferral keeps its deadline. One that is new does not take over a
    session whose deadline has passed, nor one whose deadline was another than it asks for.
    """
    params = load_params(PARAMS)
    if deadline_hours is not None:
        schedule = params.schedule.model_copy(update={"deadline_hours": deadline_hours})
        params = params.model_copy(update={"schedule": schedule})
    left = session.load_session(artifacts.STATE)
    fresh = arrived_at is None and _is_over(left, deadline_hours)
    current, clock = session.open_session(artifacts.STATE, params, arrived_at, anew=fresh)
    session.leave(artifacts.STATE, current, clock.now())
    if left is not None and left.open and left.pipeline_id != current.pipeline_id:
        Tracker(artifacts.STATE).abandon(left)
    return current


def _is_over(left: session.Session | None, deadline_hours: float | None) -> bool:
    if left is None or not left.open:
        return False
    now = left.position if left.replay else SystemClock().now()
    asked = None if deadline_hours is None else timedelta(hours=deadline_hours)
    return now >= left.deadline or (asked not in (None, left.deadline - left.arrived_at))


def give_up(current: session.Session, status: str) -> None:
    """Say in MLflow how the pipeline run ended. A session that is open is gone on with all the
    same by the next flow run, which sets the run to running again."""
    Tracker(artifacts.STATE).pipeline_run(current).end(status)
