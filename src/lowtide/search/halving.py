"""Successive halving on grams: at each level of grams spent the better trials go on.

Jamieson & Talwalkar, "Non-stochastic best arm identification" (2016), with grams for the resource;
asynchronous as in Li et al., "A system for massively parallel hyperparameter tuning" (2020): a
trial is compared with those that were at its rung before it, and waits for none.
"""

from collections.abc import Sequence

from lowtide.search.front import Losses, dominates, ranks
from lowtide.search.spending import Purse
from lowtide.search.study import Study, Trial
from lowtide.training.protocols import Hook

CLEARLY = 1.25  # times less: two probes of one network may differ by nearly as much
RUNGS, PROBED = "rungs", "probed"  # what is noted of a trial: accuracies at rungs, ratio of joules


class PrunedError(Exception):
    """Of a trial that is not worth more grams; says why."""


def levels_g(overhead_g: float, fit_g: float, num_rungs: int, reduction: int) -> list[float]:
    """Grams of a trial at which it is compared, ascending: what surrounds a fit, and a part of a
    usual fit, each `reduction` times the one before."""
    return [overhead_g + fit_g / reduction**power for power in range(num_rungs, 0, -1)]


def losses_at(trials: Sequence[Trial], rung: int) -> dict[int, Losses]:
    """(-accuracy, joules over the reference's) of each trial that has been at the rung."""
    return {
        trial.number: (-trial.notes[RUNGS][rung], trial.notes[PROBED])
        for trial in trials
        if len(trial.notes.get(RUNGS, ())) > rung
    }


def goes_on(number: int, losses: dict[int, Losses], reduction: int) -> bool:
    """Whether fewer trials than one in `reduction` are of a better rank; the first one goes."""
    numbers = list(losses)
    ranked = dict(zip(numbers, ranks([losses[n] for n in numbers]), strict=True))
    better = sum(rank < ranked[number] for rank in ranked.values())
    return better < max(len(numbers) / reduction, 1)


def surpassed(ratio: float, accuracy_max: float, trials: Sequence[Trial]) -> int | None:
    """A trial with fewer joules that has reached the most accuracy there is to be had."""
    for trial in trials:
        reached = max(trial.notes.get(RUNGS, ()), default=0.0)
        accuracy = trial.outcome.accuracy if trial.outcome else reached
        joules = trial.notes.get(PROBED, ratio)
        if accuracy >= accuracy_max and CLEARLY * joules < ratio:
            return trial.number
    return None


class Halving(Hook):
    """Compares a trial at the end of the epoch in which it has spent a rung's grams.

    A trial that is through by then is not pruned: what it cost is spent.
    """

    def __init__(
        self, study: Study, trial: Trial, purse: Purse, rungs_g: Sequence[float], reduction: int
    ) -> None:
        self._study, self._number, self._purse = study, trial.number, purse
        self._rungs_g, self._reduction = rungs_g, reduction
        self._accuracies = list(trial.notes.get(RUNGS, ()))
        self._last = False

    def before_step(self, step: float, num_steps: float) -> None:
        self._last = step + 1 >= num_steps

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:  # noqa: ARG002
        self._purse.look()
        reached = sum(self._purse.trial_g >= grams for grams in self._rungs_g)
        new = reached - len(self._accuracies)
        if new <= 0:
            return
        self._accuracies += [metrics["val_accuracy"]] * new
        self._study.note_of(self._number, RUNGS, self._accuracies)
        if not self._last:
            self._compare(reached - 1)

    def _compare(self, rung: int) -> None:
        losses = losses_at(self._study.trials(), rung)
        if goes_on(self._number, losses, self._reduction):
            return
        own = losses[self._number]
        better = [n for n, other in losses.items() if dominates(other, own)]
        raise PrunedError(
            f"rung {rung + 1}: not among the best 1/{self._reduction} of {len(losses)} trials by "
            f"accuracy and joules; trial {better[0]} has better of both"
        )
