"""The pipeline: data, a carbon gate, training, compression, a verdict, promotion."""

import sys
from datetime import datetime

import typer
from prefect import flow
from prefect.states import Completed, Failed, State

from flows.ending import end, failed
from lowtide.artifacts import STAGES, STATE
from lowtide.errors import LowtideError
from lowtide.lock import pipeline_lock
from lowtide.params import load_params
from lowtide.session import Session
from lowtide.tracking import Unsent, delivery
from tasks.champion import bring_champion
from tasks.clean_power import Wait, deferral, wait_for_clean_power
from tasks.defer import defer, may_defer
from tasks.dvc import find_stale_stages, run_stage
from tasks.promote import promote, publish, record
from tasks.report import write_report
from tasks.server import start_own_server
from tasks.session import PARAMS, begin, give_up
from tasks.summary import print_summary
from tasks.tokens import load_tokens


@flow(name="carbon-aware-pipeline", log_prints=False)
def carbon_aware_pipeline(
    deadline_hours: float | None = None, attempt: int = 0, arrived_at: datetime | None = None
) -> State:
    """Bring every stage up to date in clean hours, judge, and promote what passed.

    `deadline_hours` overrules params.yaml; the other two are set by a run that defers itself.
    """
    left: list[Unsent] = []
    try:
        load_tokens()
        with pipeline_lock(STATE), delivery(STATE) as left:
            current = begin(arrived_at, deadline_hours)
            state = _recorded(current, attempt, deadline_hours)
    except LowtideError as error:
        state = failed(error)
    for unsent in left:
        print(f"lowtide: {unsent}", file=sys.stderr)
    return state


def _recorded(current: Session, attempt: int, deadline_hours: float | None) -> State:
    """The pipeline's state; one that failed or was interrupted is not left running in MLflow."""
    try:
        state = _run(attempt, deadline_hours)
    except BaseException as error:
        give_up(current, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    if state.is_failed():
        give_up(current, "FAILED")
    return state


def _run(attempt: int, deadline_hours: float | None) -> State:
    stale = find_stale_stages()
    if bring_champion(stale):
        stale = find_stale_stages()
    for stage in STAGES:
        if stage == "train" and "train" in stale:
            passed = wait_for_clean_power(may_defer(), return_state=True)
            if not passed.is_completed():
                return Failed(message=passed.message)
            wait = passed.result()
            if wait.defer_s is not None:
                return _deferred(wait, attempt, deadline_hours)
        done = run_stage.with_options(name=stage)(
            stage, stage in stale, may_defer(), return_state=True
        )
        if done.name == "Deferred":
            return _deferred(deferral(), attempt, deadline_hours)
        if not done.is_completed():
            return Failed(message=done.message)
    run_id = record(write_report())
    version = promote(run_id)
    publish(run_id, version)
    print_summary(stale, version)
    return Completed(message=version.outcome)


def _deferred(wait: Wait, attempt: int, deadline_hours: float | None) -> State:
    assert wait.defer_s is not None
    at = defer(wait.defer_s, attempt, wait.arrived_at, deadline_hours)
    return Completed(name="Deferred", message=f"back at {at:%H:%M:%S} UTC")


def main() -> None:
    """Bring every stage up to date in clean hours, judge, and promote what passed."""
    sys.exit(_by_hand())


def _by_hand() -> int:
    try:
        load_params(PARAMS)  # before a server is started for nothing
    except LowtideError as error:
        print(f"lowtide: {error}", file=sys.stderr)
        return error.exit_code
    try:
        start_own_server()
        state = carbon_aware_pipeline(return_state=True)
    except KeyboardInterrupt:
        print("lowtide: interrupted; the next run goes on from the last checkpoint",
              file=sys.stderr)  # fmt: skip
        return 130
    return 0 if state.is_completed() else end(state)


if __name__ == "__main__":
    typer.run(main)
