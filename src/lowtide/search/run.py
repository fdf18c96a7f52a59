"""The search: trials of one study, one after the other, until its grams are spent."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lowtide import artifacts
from lowtide.artifacts import STATE
from lowtide.errors import ModelError, StudyError
from lowtide.lock import pipeline_lock
from lowtide.params import Params, load_params
from lowtide.search.candidate import Reference
from lowtide.search.costs import Costs, prepare
from lowtide.search.fitting import untrained
from lowtide.search.identity import identity, require_same
from lowtide.search.report import report, write
from lowtide.search.space import Space
from lowtide.search.spending import OutOfGramsError
from lowtide.search.trial import run_trial
from lowtide.search.worker import Worker
from lowtide.stages.run import run_stage
from lowtide.tracking import Run, delivery
from lowtide.training.pacing import Deferred

FAILED_IN_A_ROW_MAX = 5  # then it is not the configuration that fails


def search(params_file: Path, budget_g: float) -> dict[str, Any]:
    """Go on with the study in params.yaml, or begin it; returns what reports/search.json holds.

    Raises:
        UsageError: the space is not usable, and nothing but `prepare` has run; the study is of
            another search; or, by what was measured, the budget is too small for one trial.
        StudyError: the database has gone; what was done is kept in it.
        ModelError: trial after trial has failed.
        Deferred: by a signal or the plan.
    """
    params = load_params(params_file)
    space = Space.of_params(params)
    with pipeline_lock(STATE):
        _make_ready(params, space, params_file)
        with Worker.opened(params, space, budget_g) as worker, delivery(STATE) as left:
            require_same(worker.study, identity(params, space))
            with _recorded(worker.search_run()) as run:
                found = _search(worker)
                write(found)
                figures = {"emissions_g": found["spent_g"], "num_trials": len(found["trials"])}
                run.log_metrics(figures)
                run.log_artifact(artifacts.report_path("search"))
        for unsent in left:
            worker.bar.say(str(unsent))
    return found


@contextmanager
def _recorded(run: Run) -> Iterator[Run]:
    """It ends with the body: as scheduled where the same command goes on."""
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except (Deferred, KeyboardInterrupt, StudyError):
        status = "SCHEDULED"
        raise
    finally:
        run.end(status)


def _search(worker: Worker) -> dict[str, Any]:
    worker.begin()
    reference, costs = prepare(worker)
    costs.require_a_trial(worker)
    try:
        _run_trials(worker, reference, costs)
    except OutOfGramsError:
        worker.bar.say(f"the budget of {worker.budget_g:.3g} g is spent")
    return report(worker, reference, costs)


def _run_trials(worker: Worker, reference: Reference, costs: Costs) -> None:
    """Until what is left would not bring a trial to its first rung."""
    study, failed = worker.study, 0
    while study.spent_g() < worker.budget_g:
        worker.leaving.leave_if_asked()
        trial = study.take_over()
        if trial is None:
            if study.spent_g() + costs.rungs_g[0] > worker.budget_g:
                return
            trial = study.ask()
        state = run_trial(worker, trial, reference, costs)
        failed = failed + 1 if state == "failed" else 0
        if failed == FAILED_IN_A_ROW_MAX:
            raise ModelError(f"{failed} trials in a row have failed: see what was said of them")


def _make_ready(params: Params, space: Space, params_file: Path) -> None:
    """In a fresh clone the stages before the search are run first, at nobody's budget; the space's
    networks are built before a teacher is trained for them."""
    if not (artifacts.DATA / "card.json").exists():
        _run_first("prepare", params_file)
    for sample in space.corners():
        untrained(space.params(sample))
    if params.search.of == "student" and not artifacts.TEACHER.exists():
        _run_first("train", params_file)


def _run_first(stage: str, params_file: Path) -> None:
    print(f"search: runs {stage} first, which does not count in its budget", file=sys.stderr)
    run_stage(stage, params_file)
