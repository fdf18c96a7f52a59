"""`lowtide exec`: one job from the record on disk to the report, and `lowtide meter` beside it."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter
from lowtide.energy.process_tree import ProcessTreeSource
from lowtide.energy.sources import EnergySource
from lowtide.errors import ArtifactError, DeadlineError
from lowtide.running.child import Child, require_program
from lowtide.running.interrupts import Interrupts
from lowtide.running.launch import guarded_child
from lowtide.running.outcome import Outcome, describe_job, describe_run
from lowtide.running.setting import Setting
from lowtide.running.state import Job, Record, hold, load_record, record_path, save_record
from lowtide.running.supervise import NAP_S, Supervisor
from lowtide.running.terms import Decider, Status, Terms
from lowtide.running.work import HOUR, Work

ASSUMED_SHARE = 0.5  # of the time to the deadline, where nobody knows how long the work takes
PATIENCE_S = 5.0  # beyond the grace period, for the watchdog of a killed run
LEDGER = "ledger.db"


@dataclass(frozen=True)
class Request:
    """`work`: None where the user does not know. `anew`: an unfinished job is not gone on with."""

    command: tuple[str, ...]
    deadline: timedelta
    work: timedelta | None
    restartable: bool
    keep: bool
    anew: bool
    grace_s: float
    quiet: bool


@dataclass(frozen=True)
class Surroundings:
    """What both commands work with. `state` is the folder of the ledger and the records."""

    state: Path
    setting: Setting
    sources: Sequence[EnergySource]
    say: Callable[[str], None]


def execute(
    request: Request,
    around: Surroundings,
    decider_for: Callable[[datetime], Decider],
    tell: Callable[[Status], None],
) -> dict[str, Any]:
    """Run the command in clean hours, before the deadline; the report.

    Raises:
        DeadlineError: the work that was given does not fit before the deadline.
        LockedError: another lowtide runs this command in this folder.
        UsageError: there is no such program.
    """
    require_program(request.command)
    setting, folder = around.setting, Path.cwd()
    path = record_path(around.state, request.command, folder, setting.replay_speed)
    with (
        hold(path, request.grace_s + PATIENCE_S) as lock,
        Ledger(around.state / LEDGER) as ledger,
    ):
        record = load_record(path, request.command, folder)
        job = _job(record, request, around, ledger)
        save_record(path, replace(record, job=job))
        work = Work(job, setting.clock, _saver(path, record, around.say))
        with (
            Interrupts() as interrupts,
            guarded_child(
                request.command, grace_s=request.grace_s, quiet=request.quiet, keep=request.keep,
                hold=lock,
            ) as child,
        ):  # fmt: skip
            resume_hours = setting.schedule.resume_minutes / 60
            terms = Terms(job.deadline, resume_hours, request.restartable, request.grace_s)
            supervisor = Supervisor(
                child, decider_for(job.deadline), setting.clock, work, terms, interrupts, tell
            )
            meter = _meter(around, child, ledger)
            code = supervisor.run(lambda: meter.window(job.run_id, "exec"))
        if code == 0 and interrupts.first is None:
            save_record(path, record.finished(work.active_hours))
        outcome = Outcome(job.run_id, code, child.cpu_s(), setting)
        return describe_job(outcome, ledger, work.job, supervisor)


def meter_command(
    command: Sequence[str], around: Surroundings, *, grace_s: float, quiet: bool
) -> dict[str, Any]:
    """Run the command at once; the report. Raises UsageError where there is no such program."""
    require_program(command)
    run_id = f"meter-{uuid.uuid4().hex[:12]}"
    with (
        Ledger(around.state / LEDGER) as ledger,
        Interrupts() as interrupts,
        guarded_child(command, grace_s=grace_s, quiet=quiet) as child,
    ):
        with _meter(around, child, ledger).window(run_id, "meter"):
            try:
                child.start()
                while (code := child.poll()) is None:
                    interrupts.pass_on(child)
                    time.sleep(NAP_S)
            finally:
                child.end(grace_s)  # inside the window: its last joules count
        return describe_run(Outcome(run_id, code, child.cpu_s(), around.setting), ledger)


def _saver(path: Path, record: Record, say: Callable[[str], None]) -> Callable[[Job], None]:
    """A disk that is full is said, and no reason to end the command."""

    def save(job: Job) -> None:
        try:
            save_record(path, replace(record, job=job))
        except ArtifactError as error:
            say(f"{error}; a restart would not know how far this run is")

    return save


def _meter(around: Surroundings, child: Child, ledger: Ledger) -> EnergyMeter:
    setting = around.setting
    sources = [ProcessTreeSource(source, child.cpu_s) for source in around.sources]
    return EnergyMeter(sources, setting.source, setting.clock, ledger, setting.pue)


def _job(record: Record, request: Request, around: Surroundings, ledger: Ledger) -> Job:
    """The unfinished job of this command while its deadline is ahead, else a new one."""
    job, clock = record.job, around.setting.clock
    if job is None or request.anew:
        return _new_job(record, request, around)
    last = ledger.last_instant(job.run_id)
    if clock.replay and last is not None and last < job.deadline:
        clock.sleep_until(last)  # a replay goes on behind what it has used
    if clock.now() >= job.deadline:
        return _new_job(record, request, around)
    return _resumed(job, request, around, ledger)


def _resumed(job: Job, request: Request, around: Surroundings, ledger: Ledger) -> Job:
    used = ledger.totals(job.run_id).energy_kwh
    done = f"{job.active_s / 3600:.2f} h of work done" if request.restartable else "from its start"
    around.say(
        f"goes on with the unfinished run {job.run_id}, {done}: its deadline stays "
        f"{job.deadline:%d %b %H:%M} UTC, its {used or 0.0:.3g} kWh count on (--anew begins anew)"
    )
    if not request.restartable:
        job = replace(job, active_s=0.0)
    if request.work is not None:
        job = replace(job, work_hours=request.work / HOUR, origin="given")
    return job


def _new_job(record: Record, request: Request, around: Surroundings) -> Job:
    now = around.setting.clock.now()
    deadline = now + request.deadline
    job = Job(f"exec-{uuid.uuid4().hex[:12]}", now, deadline, 0.0, 0.0, "given")
    if request.work is not None:
        if request.work > request.deadline:
            raise DeadlineError(
                f"{request.work / HOUR:.2f} h of work do not fit into the "
                f"{request.deadline / HOUR:.2f} h to the deadline: raise --deadline or lower --work"
            )
        return replace(job, work_hours=request.work / HOUR)
    if record.learnt_hours is not None:
        around.say(f"plans with {record.learnt_hours:.2f} h of work, learnt from earlier runs")
        return replace(job, work_hours=record.learnt_hours, origin="learnt")
    assumed = request.deadline / HOUR * ASSUMED_SHARE
    around.say(
        f"how long the work takes is unknown: assumes {assumed:.2f} h, half of the time to the "
        "deadline; --work says better, and the next run knows from this one"
    )
    return replace(job, work_hours=assumed, origin="assumed")
