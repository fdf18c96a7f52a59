"""Grams of a study while a trial runs: noted for all workers to see, and held to the budget."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lowtide.energy.totals import Window
from lowtide.errors import CarbonError
from lowtide.search.study import RESERVED, TOOK, Study, Trial
from lowtide.training.protocols import Hook

EVERY_S = 0.5  # between two looks at what is spent
LATEST = 4  # trials, by which is judged what exports and probes take
TOLERANCE = 0.02  # of the budget, for what is nearly through


class OutOfGramsError(Exception):
    """The study has spent its budget: what runs is left as it stands."""


class Purse:
    """What one worker spends on one trial, or (`number` None) before the first.

    `before_g`: that other workers have spent on the trial. `told`: of the study's sum at each look.
    """

    def __init__(
        self,
        study: Study,
        window: Window,
        budget_g: float,
        told: Callable[[float], None],
        *,
        by: str,
        number: int | None = None,
        before_g: float = 0.0,
    ) -> None:
        self._study, self._window = study, window
        self._budget_g, self._told = budget_g, told
        self._by, self._number, self._before_g = by, number, before_g
        self.trial_g = self.study_g = before_g

    def look(self) -> list[Trial]:
        """Note what is spent by now; `trial_g` and `study_g` are the sums. Returns the study's
        trials.

        Raises:
            CarbonError: it is unknown.
        """
        self._window.sample()
        grams = self._window.totals().emissions_g
        if grams is None:
            raise CarbonError(
                "what the search emits is unknown here, so no budget of grams can be held: see "
                "`lowtide doctor`, and carbon.constant_g_per_kwh for a zone without data"
            )
        self._study.note_spent(self._number, self._by, grams)
        trials = self._study.trials()
        self.trial_g, self.study_g = self._before_g + grams, self._study.spent_g(trials)
        self._told(self.study_g)
        return trials

    def require(self, more_g: float = 0.0) -> None:
        """OutOfGramsError where the budget is spent, or `more_g` would be too much, beside what
        other workers have reserved."""
        others_g = sum(t.reserved_g for t in self.look() if t.number != self._number)
        too_much = self.study_g + others_g + more_g > (1 + TOLERANCE) * self._budget_g
        if too_much or self.study_g >= self._budget_g:
            raise OutOfGramsError

    @contextmanager
    def reserved(self, what: str, grams: float) -> Iterator[None]:
        """For what is not ended midway: so much is left for the body, whatever other workers do.
        If such bodies took more in the latest trials, then as much as that: other workers on one
        machine make them dearer.

        Raises:
            OutOfGramsError: there is not so much left.
        """
        study, number = self._study, self._number
        assert number is not None, "before the first trial nothing is reserved"
        with study.alone():
            grams = max([grams, *(g for trial in study.trials()[-LATEST:] for g in trial.took_g)])
            self.require(grams)
            study.note_of(number, RESERVED, grams)
        before_g = self.trial_g
        yield
        self.look()
        study.note_of(number, TOOK + what, self.trial_g - before_g)
        study.note_of(number, RESERVED, 0.0)


class GramsGuard(Hook):
    """Ends a fit before the step at which the study's budget is spent."""

    def __init__(self, purse: Purse) -> None:
        self._purse, self._looked_s = purse, 0.0

    def before_step(self, step: float, num_steps: float) -> None:  # noqa: ARG002
        self._look_if_due()

    def while_validating(self) -> None:
        self._look_if_due()

    def _look_if_due(self) -> None:
        if time.monotonic() - self._looked_s >= EVERY_S:
            self._purse.require()
            self._looked_s = time.monotonic()
