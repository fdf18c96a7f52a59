"""The search: trials of one study, one after the other, until its grams are spent."""

import sys
from pathlib import Path
from typing import Any

from lowtide import artifacts
from lowtide.artifacts import STATE
from lowtide.errors import ModelError
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
from lowtide.tracking import delivery

FAILED_IN_A_ROW_MAX = 5  # then it is not the configuration that fails


def search(params_file: Path, budget_g: float) -> dict[str, Any]:
    """Go on with the study in params.yaml, or begin it; returns what reports/search.json holds.

    Raises:
        UsageError: the space, the budget or the study are not usable; nothing has run.
        StudyError: the database has gone; what was done is kept in it.
        Deferred: by a signal or the plan.
    """
    params = load_params(params_file)
    space = Space.of_params(params)
    with pipeline_lock(STATE):
        _make_missing(params, params_file)
        for sample in space.corners():
            untrained(space.params(sample))
        with Worker.opened(params, space, budget_g) as worker, delivery(STATE) as left:
            require_same(worker.study, identity(params, space))
            run = worker.search_run()
            found = _search(worker)
            write(found)
            run.log_metrics({"emissions_g": found["spent_g"], "num_trials": len(found["trials"])})
            run.log_artifact(artifacts.report_path("search"))
            run.end("FINISHED")
        for unsent in left:
            worker.bar.say(str(unsent))
    return found


def _search(worker: Worker) -> dict[str, Any]:
    worker.begin()
    reference, costs = prepare(worker)
    costs.require_a_rung(worker)
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


def _make_missing(params: Params, params_file: Path) -> None:
    """In a fresh clone the stages before the search are run first, at nobody's budget."""
    missing = [] if (artifacts.DATA / "card.json").exists() else ["prepare"]
    if params.search.of == "student" and not artifacts.TEACHER.exists():
        missing.append("train")
    for stage in missing:
        print(f"search: runs {stage} first, which does not count in its budget", file=sys.stderr)
        run_stage(stage, params_file)
