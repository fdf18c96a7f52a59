"""What a trial will cost, measured before the first: the rungs and the least budget follow."""

import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from lowtide import artifacts
from lowtide.errors import CarbonError, UsageError
from lowtide.models.weights import load_model
from lowtide.search.candidate import Reference, accuracy, joules
from lowtide.search.fitting import untrained
from lowtide.search.halving import levels_g
from lowtide.search.spending import Purse
from lowtide.search.worker import Worker
from lowtide.stages.served import export, export_float
from lowtide.training.estimate import estimate_hours

COSTS = "costs"


@dataclass(frozen=True)
class Costs:
    """Of the configuration in params.yaml, measured once for the whole study.

    `overhead_g`: of exporting it and probing it once; `fit_g`: of its fit. `reference_j`: joules
    per inference of the reference. `rungs_g`: of a trial, where it is compared with others.
    """

    overhead_g: float
    fit_g: float
    reference_j: float
    rungs_g: list[float]

    @property
    def trial_g(self) -> float:
        """Of one that goes to its end: probed before it is trained, and as it is served."""
        return 2 * self.overhead_g + self.fit_g

    def later_work(self, worker: Worker) -> float:
        """Of the trials that the budget is for, in units of one."""
        left_g = worker.budget_g - worker.study.spent_g()
        return max(left_g / self.trial_g - 1, 0.0)

    def require_a_trial(self, worker: Worker) -> None:
        """UsageError where the budget is not enough for the first trial."""
        spent_g = worker.study.spent_g()
        need_g = spent_g + self.trial_g
        if worker.budget_g < need_g and not worker.study.trials():
            raise UsageError(
                f"a budget of {worker.budget_g:.3g} g is smaller than one trial: by a probe and "
                f"steps measured here, which took {spent_g:.2g} g, one takes {self.trial_g:.2g} g; "
                f"take --budget-g {1.1 * need_g:.3g} or more, or fewer epochs"
            )


def prepare(worker: Worker) -> tuple[Reference, Costs]:
    """The reference in this checkout, and what trials cost; measured unless the study knows it.

    Raises:
        CarbonError: the measuring has emitted nothing, so that grams limit nothing.
    """
    with worker.spending(None) as (_, purse):
        reference = _reference(worker)
        with worker.study.alone():
            noted: dict[str, Any] | None = worker.study.noted(COSTS)
            if noted is None:
                noted = asdict(_measured(worker, reference, purse))
                worker.study.note(COSTS, noted)
    return reference, Costs(**noted)


def _reference(worker: Worker) -> Reference:
    params, path = worker.params, worker.folder / "reference.onnx"
    trained = params.search.of == "student"
    if not path.exists():
        model, spec = load_model(artifacts.TEACHER) if trained else untrained(params)
        export_float(model, spec, path, params)
    return Reference(path, accuracy(path, params) if trained else None)


def _measured(worker: Worker, reference: Reference, purse: Purse) -> Costs:
    params = worker.params
    before_g = _grams(purse)
    folder = artifacts.make_folder(worker.folder / "base")
    found = joules(export(*untrained(params), folder, params), reference, params)
    overhead_g = _grams(purse) - before_g
    fit_g = _fit_g(worker, purse)
    settings = params.search
    if overhead_g * fit_g == 0:
        raise CarbonError(
            f"by {worker.source.name} the grid emits nothing at this hour, so no budget of grams "
            "would ever be spent: search at another hour (carbon.replay_start on a replayed clock) "
            "or by another carbon.source"
        )
    rungs_g = levels_g(overhead_g, fit_g, settings.rungs, settings.reduction)
    return Costs(overhead_g, fit_g, found.reference_j, rungs_g)


def _fit_g(worker: Worker, purse: Purse) -> float:
    """A few steps are timed, and metered as they run."""
    before_g, started_s = _grams(purse), time.monotonic()
    hours = estimate_hours(worker.params, worker.clock)
    grams, seconds = _grams(purse) - before_g, time.monotonic() - started_s
    stage = "distill" if worker.params.search.of == "student" else "train"
    return grams / seconds * worker.clock.real_seconds(timedelta(hours=hours[stage]))


def _grams(purse: Purse) -> float:
    purse.look()
    return purse.trial_g
