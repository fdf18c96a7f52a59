"""One trial from its beginning to what the study is told of it."""

from lowtide.errors import ModelError, first_line
from lowtide.search.candidate import Reference
from lowtide.search.chain import CHECKPOINT, Chain, Through
from lowtide.search.costs import Costs
from lowtide.search.halving import PrunedError
from lowtide.search.progress import best_text, spent_text
from lowtide.search.spending import Purse
from lowtide.search.study import Trial
from lowtide.search.worker import Worker
from lowtide.tracking import Run
from lowtide.training.checkpoint import delete_checkpoints

Ending = Through | PrunedError | ModelError


def run_trial(worker: Worker, trial: Trial, reference: Reference, costs: Costs) -> str:
    """Run it to its end, tell the study, and say what came of it; returns its state.

    Raises:
        OutOfGramsError, Deferred, StudyError: it is left as it stands, to be gone on with.
    """
    run = worker.trial_run(trial)
    try:
        with worker.spending(trial) as (window, purse):
            ending = _ending(Chain(worker, trial, reference, costs, window, purse, run))
    except BaseException:  # whatever it is, the trial is left for a next worker
        run.end("SCHEDULED")
        raise
    return _tell(worker, trial, run, ending, purse)


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
        delete_checkpoints(worker.folder_of(trial) / CHECKPOINT)
        run.log_metrics({"accuracy": ending.accuracy, "energy_j_per_inference": ending.energy_j})
        state, what = "complete", f"accuracy {ending.accuracy:.4f}, {ending.energy_j:.3g} J"
    else:
        state = "pruned" if isinstance(ending, PrunedError) else "failed"
        what = first_line(ending)
        study.end(trial.number, state, what)
        worker.forget(trial)
    run.set_tags({"lowtide.state": state})
    run.end("FAILED" if state == "failed" else "FINISHED")
    outcomes = study.outcomes()
    worker.bar.through(outcomes)
    worker.bar.say(
        f"trial {trial.number} {state} ({what}), {grams:.3g} g; "
        f"{spent_text(purse.study_g, worker.budget_g)} spent, {best_text(outcomes)}"
    )
    return state
