"""A job that comes again: which batch size this run takes, and what came of it for the next one."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from lowtide.controller.knobs import Trying
from lowtide.controller.power import Tradeoff
from lowtide.controller.recurring import BatchSizes
from lowtide.controller.trials import RecurringJob
from lowtide.energy.ledger import TrialRow
from lowtide.energy.sources import KWH_IN_J
from lowtide.params import Params
from lowtide.stages.context import StageContext
from lowtide.training.work import Fit

ENERGY = Tradeoff(eta=1.0, max_power_w=0.0)  # runs are compared by their joules


@dataclass(frozen=True)
class Recurrence:
    """One run of the job. `reason`: why this batch size."""

    job: RecurringJob[TrialRow]
    name: str
    trying: Trying
    reason: str
    target: float

    def record(self, work: Fit, context: StageContext) -> dict[str, Any]:
        """Once, when the fit is over; returns what the report says of it.

        A batch size that was given up has cost what it had by then.
        """
        totals, progress = context.window.totals(), work.progress
        spent_kwh, gave_up = totals.energy_kwh, progress.knobs.batch_size != self.trying.batch_size
        if gave_up:
            spent_kwh = self._given_up_kwh(progress.steering)
        best = max((row["val_accuracy"] for row in progress.history), default=0.0)
        reached = not gave_up and best >= self.target
        self.job.record(
            TrialRow(
                self.name, self.trying.batch_size, None,
                None if spent_kwh is None else spent_kwh * KWH_IN_J, totals.duration_s,
                totals.emissions_g, reached,
                context.ledger.first_instant(context.run_id) or context.clock.now(),
            )
        )  # fmt: skip
        return {
            "job": self.name, "batch_size": self.trying.batch_size, "reason": self.reason,
            "reached_target": reached, "gave_up": gave_up,
        }  # fmt: skip

    def _given_up_kwh(self, steering: Mapping[str, Any]) -> float | None:
        """Energy by the decision that took another batch size."""
        tried = self.trying.batch_size
        decisions = steering["decisions"]
        found: float | None = next(
            one["inputs"]["energy_kwh"] for one in decisions if one["knobs"]["batch_size"] != tried
        )
        return found


def recurrence(params: Params, context: StageContext) -> Recurrence | None:
    """What this run is to try, from the ledger's trials of the job; None where none is named."""
    settings, default = params.controller, params.train.batch_size
    if settings.recurring is None or settings.accuracy_target is None:
        return None
    sizes = BatchSizes(tuple({*settings.batch_sizes, default}), default, params.seed)
    job = RecurringJob(context.ledger, settings.recurring, sizes, ENERGY)
    choice = job.choose()
    limit_kwh = choice.cost_limit / KWH_IN_J if isfinite(choice.cost_limit) else None
    trying = Trying(choice.batch_size, choice.best_size, limit_kwh)
    return Recurrence(job, settings.recurring, trying, choice.reason, settings.accuracy_target)
