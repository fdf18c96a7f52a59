"""What a search has found, as reports/search.json has it; beside it a plot and a patch."""

import platform
from typing import Any

from lowtide import artifacts
from lowtide.params import Params
from lowtide.search.candidate import Reference
from lowtide.search.costs import Costs
from lowtide.search.front import Outcome, choose, pareto
from lowtide.search.halving import PROBED, RUNGS
from lowtide.search.patch import PATCH, write_patch
from lowtide.search.plot import search_plot
from lowtide.search.study import Trial
from lowtide.search.worker import Worker

REPORT = artifacts.report_path("search")
PLOT = artifacts.REPORTS / "search.svg"


def report(worker: Worker, reference: Reference, costs: Costs) -> dict[str, Any]:
    """Of the whole study, whoever has worked on it."""
    study, params = worker.study, worker.params
    trials = {trial.number: trial for trial in study.trials()}
    outcomes = [one.outcome for one in trials.values() if one.outcome is not None]
    chosen = choose(outcomes, _accuracy_min(outcomes, reference, params))

    def entry(outcome: Outcome) -> dict[str, Any]:
        trial = trials[outcome.number]
        return {**_figures(outcome), "params": worker.space.patch(trial.sample),
                **trial.notes["served"]}  # fmt: skip

    return {
        "study": study.name,
        "study_id": study.id,
        "of": params.search.of,
        "storage": study.database.name,
        "budget_g": worker.budget_g,
        "spent_g": study.spent_g(),
        "rungs_g": costs.rungs_g,
        "reference": {"accuracy": reference.accuracy, "energy_j_per_inference": costs.reference_j},
        "trials": [_trial(trial) for trial in trials.values()],
        "pareto": [entry(outcome) for outcome in pareto(outcomes)],
        "chosen": None if chosen is None else entry(chosen),
        "clock": "replay" if worker.clock.replay else "system",
        "energy": worker.ledger.totals(worker.run_id(None)).provenance,
        "intensity": worker.source.name,
        "host": platform.node(),
    }


def _accuracy_min(outcomes: list[Outcome], reference: Reference, params: Params) -> float:
    """As far below the teacher's as budgets allow; below the best, where teachers are searched."""
    best = max((outcome.accuracy for outcome in outcomes), default=0.0)
    return (reference.accuracy or best) - params.budgets.accuracy_drop_max


def _figures(outcome: Outcome) -> dict[str, Any]:
    return {
        "number": outcome.number,
        "accuracy": outcome.accuracy,
        "energy_j_per_inference": outcome.energy_j,
        "emissions_g": outcome.emissions_g,
    }


def _trial(trial: Trial) -> dict[str, Any]:
    figures = {} if trial.outcome is None else _figures(trial.outcome)
    return {
        "number": trial.number,
        "state": trial.state,
        "reason": trial.notes.get("reason"),
        "params": dict(trial.sample),
        "energy_ratio": trial.notes.get(PROBED),
        "rung_accuracies": trial.notes.get(RUNGS, []),
        "emissions_g": trial.spent_g,
        **figures,
    }


def write(found: dict[str, Any]) -> None:
    artifacts.write_json(REPORT, found)
    for stale in (PLOT, PATCH):
        stale.unlink(missing_ok=True)
    if found["chosen"] is not None:
        artifacts.write_text(PLOT, search_plot(found))
        write_patch(found["chosen"]["params"])
