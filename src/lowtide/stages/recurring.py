"""A job that comes again: which batch size this run takes, and what came of it for the next one.

What is known of a job is in the ledger, and nowhere else: a choice can be made again from it alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Self

from lowtide.controller.knobs import Trying
from lowtide.controller.power import PowerProfile, Tradeoff
from lowtide.controller.recurring import BatchSizes, Choice, Trial
from lowtide.energy.ledger import TrialRow
from lowtide.energy.sources import KWH_IN_J
from lowtide.energy.totals import Totals
from lowtide.params import Params
from lowtide.stages.context import StageContext
from lowtide.training.power_levels import PowerLevels
from lowtide.training.work import Fit


@dataclass(frozen=True)
class Spent:
    """On the work itself, whatever it waited for; joules and grams are None where unknown."""

    energy_j: float | None
    duration_s: float
    emissions_g: float | None

    @classmethod
    def of(cls, totals: Totals) -> Self:
        energy_kwh = totals.active_energy_kwh
        energy_j = None if energy_kwh is None else energy_kwh * KWH_IN_J
        return cls(energy_j, totals.active_s, totals.active_emissions_g)

    def until(self, energy_kwh: float | None) -> Self:
        """The part of it that took so much energy; seconds and grams in proportion."""
        if energy_kwh is None or not self.energy_j:
            return replace(self, energy_j=None)
        share = energy_kwh * KWH_IN_J / self.energy_j
        grams = None if self.emissions_g is None else self.emissions_g * share
        return replace(
            self, energy_j=energy_kwh * KWH_IN_J, duration_s=self.duration_s * share,
            emissions_g=grams,
        )  # fmt: skip


@dataclass(frozen=True)
class Recurrence:
    """One run of the job. `reason`: why this batch size. `power_profile`: as the newest run with
    this batch size has left it."""

    job: str
    trying: Trying
    reason: str
    target: float
    power_profile: PowerProfile | None

    def record(
        self, work: Fit, context: StageContext, levels: PowerLevels | None
    ) -> dict[str, Any]:
        """Once, when the fit is over; returns what the report says of it.

        What was used in a pause does not count: it tells of the grid, not of the batch size. A
        batch size that was given up has cost what it had by then.
        """
        progress = work.progress
        gave_up = progress.knobs.batch_size != self.trying.batch_size
        spent = Spent.of(context.window.totals())
        if gave_up:
            spent = spent.until(self._given_up_kwh(progress.steering))
        best = max((row["val_accuracy"] for row in progress.history), default=0.0)
        reached = not gave_up and best >= self.target
        profile = None if levels is None or gave_up else levels.profile
        context.ledger.append_trial(
            TrialRow(
                self.job, self.trying.batch_size,
                None if levels is None else levels.limit_w,
                spent.energy_j, spent.duration_s, spent.emissions_g, reached,
                context.ledger.first_instant(context.run_id) or context.clock.now(),
                None if profile is None else profile.as_json(),
            )
        )  # fmt: skip
        return {
            "job": self.job, "batch_size": self.trying.batch_size, "reason": self.reason,
            "reached_target": reached, "gave_up": gave_up,
        }  # fmt: skip

    def _given_up_kwh(self, steering: Mapping[str, Any]) -> float | None:
        """Energy of the work by the decision that took another batch size."""
        tried = self.trying.batch_size
        decisions = steering["decisions"]
        found: float | None = next(
            one["inputs"]["active_energy_kwh"]
            for one in decisions
            if one["knobs"]["batch_size"] != tried
        )
        return found


def recurrence(params: Params, context: StageContext) -> Recurrence | None:
    """What this run is to try, from the ledger's trials of the job; None where none is named."""
    settings, default = params.controller, params.train.batch_size
    if settings.recurring is None or settings.accuracy_target is None:
        return None
    rows = context.ledger.trials(settings.recurring)
    tradeoff = tradeoff_of(rows, settings.eta)
    sizes = BatchSizes(tuple({*settings.batch_sizes, default}), default, params.seed)
    choice = sizes.choose(costs(rows, tradeoff))
    trying = Trying(choice.batch_size, choice.best_size, limit_kwh(choice, rows, tradeoff))
    profile = profile_of(rows, choice.batch_size)
    return Recurrence(settings.recurring, trying, choice.reason, settings.accuracy_target, profile)


def tradeoff_of(rows: Sequence[TrialRow], eta: float) -> Tradeoff:
    """The most watts that a run has drawn in the mean stand for what could have been drawn."""
    powers_w = [
        row.energy_j / row.duration_s
        for row in rows
        if row.energy_j is not None and row.duration_s > 0
    ]
    return Tradeoff(eta, max(powers_w, default=0.0))


def costs(rows: Sequence[TrialRow], tradeoff: Tradeoff) -> list[Trial]:
    """Oldest first. A run whose joules are unknown tells nothing, and is left out."""
    return [
        Trial(row.batch_size, tradeoff.cost_j(row.energy_j, row.duration_s), row.converged)
        for row in rows
        if row.energy_j is not None
    ]


def limit_kwh(choice: Choice, rows: Sequence[TrialRow], tradeoff: Tradeoff) -> float | None:
    """The choice's cost limit as energy, at what the runs with its best size have cost a joule;
    None where there is no limit."""
    if not isfinite(choice.cost_limit):
        return None
    runs = [row for row in rows if row.batch_size == choice.best_size]
    energy_j = sum(row.energy_j for row in runs if row.energy_j is not None)
    cost_j = sum(trial.cost for trial in costs(runs, tradeoff))
    return choice.cost_limit * (energy_j / cost_j if cost_j else 1.0) / KWH_IN_J


def profile_of(rows: Sequence[TrialRow], batch_size: int) -> PowerProfile | None:
    """The newest with this batch size: a limit slows small batches less than large ones."""
    found = [row.power_profile for row in rows if row.batch_size == batch_size]
    text = next((text for text in reversed(found) if text is not None), None)
    return None if text is None else PowerProfile.of(text)
