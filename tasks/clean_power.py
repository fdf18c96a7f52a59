"""The carbon-forecast gate: go now, wait here, or come back later."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed, State

from lowtide import artifacts, session
from lowtide.carbon.sources import open_source
from lowtide.errors import LowtideError
from lowtide.params import Params, load_params
from lowtide.planning.chart import plan_figure, plan_text
from lowtide.planning.gate import outlasts, plan_start, spread_start
from lowtide.tracking import Tracker
from tasks.session import PARAMS


@dataclass(frozen=True)
class Wait:
    """What the gate decided. `defer_s` is set when the run should come back instead of waiting."""

    start: datetime
    arrived_at: datetime
    reason: str
    defer_s: float | None


@task(name="carbon-forecast-gate", cache_policy=NO_CACHE)
def wait_for_clean_power(may_defer: bool) -> Wait | State:
    """Plan the training, publish the plan, and wait for its start unless that takes too long.

    What the user has to mend is a failed state with one line, no exception.
    """
    try:
        return _pass_gate(may_defer)
    except LowtideError as error:
        return Failed(message=str(error))


def _pass_gate(may_defer: bool) -> Wait:
    from lowtide.training.estimate import estimate_hours  # brings torch

    params = load_params(PARAMS)
    current, clock = session.open_session(artifacts.STATE, params)
    now = clock.now()
    work_hours = sum(estimate_hours(params, clock).values())
    source = open_source(params.carbon)
    plan = plan_start(source, params.schedule, now, current.deadline, work_hours)
    text = plan_text(plan)
    get_run_logger().info("gate: %s", plan.reason)
    if clock.replay and (short := outlasts(source, plan)):
        get_run_logger().warning("gate: %s", short)
    create_markdown_artifact(
        key="plan", markdown=f"{plan.reason}\n```\n{text}\n```", description="When to train"
    )
    _record(current, plan_figure(plan))
    start = plan.start if clock.replay else spread_start(plan, params.schedule, Random())
    wait = start - now
    if may_defer and wait > _longest(params):
        session.leave(artifacts.STATE, current, start)
        return Wait(start, current.arrived_at, plan.reason, clock.real_seconds(wait))
    clock.sleep_until(start)
    session.leave(artifacts.STATE, current, clock.now())
    return Wait(start, current.arrived_at, plan.reason, None)


def deferral() -> Wait:
    """When the stage that has just deferred itself wants to go on."""
    params = load_params(PARAMS)
    until = datetime.fromisoformat(artifacts.read_json(artifacts.DEFERRED)["until"])
    current, clock = session.open_session(artifacts.STATE, params)
    left_at = datetime.fromisoformat(artifacts.read_json(artifacts.DEFERRED)["left_at"])
    reason = "training pauses for clean power"
    return Wait(until, current.arrived_at, reason, clock.real_seconds(until - left_at))


def _longest(params: Params) -> timedelta:
    return timedelta(minutes=params.schedule.max_in_process_pause_minutes)


def _record(current: session.Session, figure: bytes) -> None:
    path = artifacts.STATE / "plan-gate.svg"
    path.write_bytes(figure)
    run = Tracker(artifacts.STATE).pipeline_run(current)
    run.log_artifact(path, "plan")
