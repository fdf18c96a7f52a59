"""One trial from its beginning to what the study is told of it."""

from lowtide.energy.meter import Window
from lowtide.errors import ModelError, first_line
from lowtide.search.candidate import Reference
from lowtide.search.chain import Chain, Through
from lowtide.search.costs import Costs
from lowtide.search.halving import PrunedError
from lowtide.search.spending import OutOfGramsError, Purse
from lowtide.search.study import Trial
from lowtide.search.worker import Worker
from lowtide.tracking import Run
from lowtide.training.pacing import Deferred

Ending = Through | PrunedError | ModelError


def run_trial(worker: Worker, trial: Trial, reference: Reference, costs: Costs) -> str:
    """Run it to its end, tell the study, and say what came of it; returns its state.

    Raises:
        OutOfGramsError, Deferred, KeyboardInterrupt: it is left as it stands, to be gone on with.
    """
    run = worker.trial_run(trial)
    try:
        with worker.metered(trial) as window:
            purse = _purse(worker, trial, window)
            ending = _ending(Chain(worker, trial, reference, costs, window, purse, run))
        purse.look()  # the window is closed: this is all of it
    except (OutOfGramsError, Deferred, KeyboardInterrupt):
        worker.study.leave(trial.number)
        run.end("SCHEDULED")
        raise
    return _tell(worker, trial, run, ending, purse)


def _purse(worker: Worker, trial: Trial, window: Window) -> Purse:
    return Purse(
        worker.study, window, worker.budget_g, by=worker.name, number=trial.number,
        before_g=trial.spent_by_others_g(worker.name),
    )  # fmt: skip


def _ending(chain: Chain) -> Ending:
    try:
        return chain.through()
    except (PrunedError, ModelError) as ending:
        return ending


def _tell(worker: Worker, trial: Trial, run: Run, ending: Ending, purse: Purse) -> str:
    study, grams = worker.study, purse.trial_g
    run.log_metrics({"emissions_g": grams})
    if isinstance(ending, Through):
        study.note_of(trial.number, "served", ending.served)
        study.complete(trial.number, ending.accuracy, ending.energy_j, grams)
        run.log_metrics({"accuracy": ending.accuracy, "energy_j_per_inference": ending.energy_j})
        state, what = "complete", f"accuracy {ending.accuracy:.4f}, {ending.energy_j:.3g} J"
    else:
        state = "pruned" if isinstance(ending, PrunedError) else "failed"
        what = first_line(ending)
        study.end(trial.number, state, what)
        worker.forget(trial)
    run.set_tags({"lowtide.state": state})
    run.end("FAILED" if state == "failed" else "FINISHED")
    worker.say(
        f"trial {trial.number} {state} ({what}), {grams:.3g} g; "
        f"{purse.study_g:.3g} of {worker.budget_g:.3g} g spent"
    )
    return state
