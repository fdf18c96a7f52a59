"""The pipeline run that stages belong to, kept on disk between their processes.

A session is opened by the first stage (or by the flow), survives a kill, and is closed when the
verdict is out. It holds when the work arrived, when it is due, and how far a replay has come.
"""

import uuid
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from lowtide.artifacts import read_json, write_json
from lowtide.clock import Clock, ReplayClock, SystemClock
from lowtide.errors import ArtifactError
from lowtide.params import Params


@dataclass(frozen=True)
class Session:
    pipeline_id: str
    arrived_at: datetime
    deadline: datetime
    position: datetime  # the clock, when a stage last left it
    replay: bool
    open: bool
    params: dict[str, str]  # what one pipeline run is made of: seed, models, and when it is due


def load_session(state: Path) -> Session | None:
    """The last session of this checkout, or None; a broken file counts as none."""
    path = state / "session.json"
    if not path.exists():
        return None
    try:
        content = read_json(path)
        for key in ("arrived_at", "deadline", "position"):
            content[key] = datetime.fromisoformat(content[key])
        return Session(**content)
    except (ArtifactError, KeyError, TypeError, ValueError):
        return None


def save_session(state: Path, session: Session) -> None:
    content = asdict(session)
    for key in ("arrived_at", "deadline", "position"):
        content[key] = content[key].isoformat()
    write_json(state / "session.json", content)


def open_session(
    state: Path, params: Params, arrived_at: datetime | None = None, *, anew: bool = False
) -> tuple[Session, Clock]:
    """Go on with the session that was left open, or begin one; `anew` begins one in any case.

    One of another seed, other models, another deadline or clock is not gone on with. `arrived_at`
    is given by a flow run that was deferred, perhaps from another machine: the deadline stays
    where it was.
    """
    left = load_session(state)
    session = _begin(params, arrived_at)
    same = left and (left.replay, left.params) == (session.replay, session.params)
    if left and left.open and same and not anew:
        session = left
    else:
        save_session(state, session)
    if not session.replay:
        return session, SystemClock()
    return session, ReplayClock(session.position, params.carbon.replay_speed)


def _begin(params: Params, arrived_at: datetime | None) -> Session:
    replay_start = params.carbon.replay_start
    now = replay_start or SystemClock().now()
    arrived = arrived_at or now
    return Session(
        pipeline_id=uuid.uuid4().hex,
        arrived_at=arrived,
        deadline=arrived + timedelta(hours=params.schedule.deadline_hours),
        position=max(now, arrived),
        replay=replay_start is not None,
        open=True,
        params={
            "seed": str(params.seed),
            "model.teacher": params.model.teacher,
            "model.student": params.model.student or "teacher",
            "schedule.deadline_hours": str(params.schedule.deadline_hours),
            "carbon.replay_start": str(replay_start),
        },
    )


def leave(state: Path, session: Session, position: datetime, *, done: bool = False) -> None:
    """Note where the clock stands as a process ends; `done` closes the session."""
    save_session(state, replace(session, position=position, open=not done))
