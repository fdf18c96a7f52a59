"""One trial from its beginning to what the study is told of it."""

import sqlite3
import traceback
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from lowtide.errors import (
    ArtifactError,
    CarbonError,
    DataError,
    LowtideError,
    MeterError,
    StudyError,
    UsageError,
    first_line,
)
from lowtide.search.candidate import Reference
from lowtide.search.chain import CHECKPOINT, Chain, Through
from lowtide.search.costs import Costs
from lowtide.search.halving import PrunedError
from lowtide.search.progress import best_text, spent_text
from lowtide.search.spending import OutOfGramsError, Purse
from lowtide.search.study import Trial
from lowtide.search.worker import Worker
from lowtide.tracking import Run
from lowtide.training.checkpoint import delete_checkpoints

# No configuration is to blame for these: the next one would meet them, too.
OF_THE_SEARCH = (OutOfGramsError, StudyError, CarbonError, MeterError, DataError, UsageError)
OF_THE_DISK = (OSError, sqlite3.Error, SafetensorError)


@dataclass(frozen=True)
class Stopped:
    """`state`: pruned or failed."""

    state: str
    reason: str


def run_trial(worker: Worker, trial: Trial, reference: Reference, costs: Costs) -> str:
    """Run it to its end, tell the study, and say what came of it; returns its state.

    Raises:
        Deferred, and what concerns the whole search: it is left as it stands, to be gone on with.
    """
    run = worker.trial_run(trial)
    try:
        with worker.spending(trial) as (window, purse):
            ending = _ending(Chain(worker, trial, reference, costs, window, purse, run))
    except BaseException:  # whatever it is, the trial is left for a next worker
        run.end("SCHEDULED")
        raise
    return _tell(worker, trial, run, ending, purse)


def _ending(chain: Chain) -> Through | Stopped:
    """What a network, the exporter or the runtime raises ends the trial, which would otherwise be
    taken over and raise it for ever; whether it is the machine, the next trials tell."""
    try:
        return chain.through()
    except OF_THE_DISK as raised:
        raise ArtifactError(
            f"a file of trial {chain.trial.number} cannot be used: {_reason(raised)}: mend that, "
            "and start the search again, which goes on with the trial"
        ) from raised
    except Exception as raised:
        if _concerns_the_search(raised):
            raise
        return Stopped("pruned" if isinstance(raised, PrunedError) else "failed", _reason(raised))


def _concerns_the_search(raised: Exception) -> bool:
    """Our own errors say in one line what the disk has said; what a network raises is its own."""
    of_ours = isinstance(raised, LowtideError) and isinstance(raised.__context__, OF_THE_DISK)
    return of_ours or isinstance(raised, OF_THE_SEARCH)


def _tell(worker: Worker, trial: Trial, run: Run, ending: Through | Stopped, purse: Purse) -> str:
    study, grams = worker.study, purse.trial_g
    run.log_metrics({"emissions_g": grams})
    if isinstance(ending, Through):
        study.note_of(trial.number, "served", ending.served)
        study.complete(trial.number, ending.accuracy, ending.energy_j, grams)
        delete_checkpoints(worker.folder_of(trial) / CHECKPOINT)
        run.log_metrics({"accuracy": ending.accuracy, "energy_j_per_inference": ending.energy_j})
        state, what = "complete", f"accuracy {ending.accuracy:.4f}, {ending.energy_j:.3g} J"
    else:
        state, what = ending.state, ending.reason
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


def _reason(raised: Exception) -> str:
    """In one line; of what nobody has foreseen its type and place, too."""
    if isinstance(raised, PrunedError | LowtideError):
        return first_line(raised)
    last = traceback.extract_tb(raised.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return f"{type(raised).__name__}: {first_line(raised)} ({place})"
