"""What is known of a job that comes again, kept in the ledger: a run is chosen from those before.

Nothing is kept elsewhere, so that a choice can be made again from the ledger alone.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Generic, Protocol, TypeVar

from lowtide.controller.power import Tradeoff
from lowtide.controller.recurring import BatchSizes, Choice, Trial


class Run(Protocol):
    """A run that is over: joules None where unknown; `converged`: it reached its target."""

    @property
    def job(self) -> str: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def energy_j(self) -> float | None: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def converged(self) -> bool: ...


Row = TypeVar("Row", bound=Run)


class Store(Protocol[Row]):
    """The ledger."""

    def trials(self, job: str) -> list[Row]:
        """Of one job, oldest first."""

    def append_trial(self, trial: Row) -> None:
        """The whole row or nothing."""


class RecurringJob(Generic[Row]):
    """One job by its name: what to run it with next, and what came of a run."""

    def __init__(self, store: Store[Row], job: str, sizes: BatchSizes, tradeoff: Tradeoff) -> None:
        self._store, self._job = store, job
        self._sizes, self._tradeoff = sizes, tradeoff

    def choose(self) -> Choice:
        """From all runs of the job so far; the cost limit is in the joules of the trade-off."""
        return self._sizes.choose(history(self._store.trials(self._job), self._tradeoff))

    def record(self, run: Row) -> None:
        """Raises ValueError if the run is another job's, or holds what no run can have spent."""
        if run.job != self._job:
            raise ValueError(f"a run of {run.job!r} is no trial of {self._job!r}")
        spent = (run.duration_s, 0.0 if run.energy_j is None else run.energy_j)
        if not all(isfinite(value) and value >= 0 for value in spent):
            raise ValueError(f"joules and seconds of a run cannot be negative or endless: {run}")
        self._store.append_trial(run)


def history(runs: Sequence[Run], tradeoff: Tradeoff) -> list[Trial]:
    """Oldest first. A run whose joules are unknown tells nothing, and is left out."""
    return [
        Trial(run.batch_size, tradeoff.cost_j(run.energy_j, run.duration_s), run.converged)
        for run in runs
        if run.energy_j is not None
    ]
