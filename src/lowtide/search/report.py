"""What a search has found: reports/search.json, a table and a plot of the front, a patch."""

from typing import Any

import yaml

from lowtide import artifacts
from lowtide.params import Params
from lowtide.search.candidate import Reference
from lowtide.search.costs import Costs
from lowtide.search.front import Outcome, choose, pareto
from lowtide.search.halving import PROBED, RUNGS
from lowtide.search.study import Trial
from lowtide.search.worker import Worker

REPORT = artifacts.report_path("search")
PATCH = artifacts.REPORTS / "search_params.yaml"
PLOT = artifacts.REPORTS / "search.svg"


def report(worker: Worker, reference: Reference, costs: Costs) -> dict[str, Any]:
    """Of the whole study, whoever has worked on it."""
    study, params = worker.study, worker.params
    trials = {trial.number: trial for trial in study.trials()}
    outcomes = [trial.outcome for trial in trials.values() if trial.outcome is not None]
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
        "intensity": worker.source.name,
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
    if found["chosen"] is not None:
        artifacts.write_text(PATCH, yaml.safe_dump(found["chosen"]["params"], sort_keys=False))
