"""The same job again, as nightly retraining is: which batch size it should be run with next time.

A walk from the default first, towards smaller and then towards larger batches, each tried once, as
long as it is not clearly worse: cost over batch size has one valley. Then Thompson sampling among
what is left. After Zeus (You, Chung, Chowdhury, NSDI 2023, section 4).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

STOP = 1.5  # a run that has cost this many times the best is not worth its end
WORSE = 1.3  # a step of the walk that costs this many times the best ends it
SPREAD = 0.06  # of a run's cost about its mean, relative, where too few were seen to tell
RECENT = 3  # runs that together tell of drift
DRIFT = 1.5  # times dearer or cheaper than before: another job by now


@dataclass(frozen=True)
class Trial:
    """One run that is over. `reached`: its target; if not, it was stopped, and `cost` was spent."""

    batch_size: int
    cost: float
    reached: bool


@dataclass(frozen=True)
class Choice:
    """What to run with. At `cost_limit` the run is hopeless and should be stopped, or go on with
    `best_size`, which has cost least in the mean."""

    batch_size: int
    cost_limit: float
    reason: str
    best_size: int


class BatchSizes:
    """Chooses from the trials so far, and from nothing else: the same trials, the same choice.

    Trials with a batch size that is not offered any more are passed over.
    """

    def __init__(self, sizes: Sequence[int], default: int, seed: int = 0) -> None:
        if default not in sizes:
            raise ValueError(f"the default batch size {default} is not among {list(sizes)}")
        self._sizes, self._default, self._seed = sorted(sizes), default, seed

    def choose(self, trials: Sequence[Trial]) -> Choice:
        known = [trial for trial in since_drift(trials) if trial.batch_size in self._sizes]
        costs = costs_of(known)
        if not costs:
            size = self._unknown(known)
            return Choice(size, float("inf"), "none has reached its target yet", size)
        best_size = min(costs, key=lambda size: mean(costs[size]))
        best = mean(costs[best_size])
        step = self._next_step(known, costs)
        if step is not None:
            return Choice(step, STOP * best, "not tried yet", best_size)
        size = self._sample(costs, best, len(trials))
        return Choice(size, STOP * best, "sampled by its cost", best_size)

    def _unknown(self, trials: Sequence[Trial]) -> int:
        """The default; where that has failed the nearest size that has not."""
        failed = {trial.batch_size for trial in trials}
        place = self._sizes.index(self._default)
        near = sorted(self._sizes, key=lambda size: abs(self._sizes.index(size) - place))
        return next((size for size in near if size not in failed), self._default)

    def _next_step(self, trials: Sequence[Trial], costs: dict[int, list[float]]) -> int | None:
        """The next size of the walk; None once both ways have ended: at a run that was stopped, or
        that cost clearly more than the best on the way to it."""
        tried = {trial.batch_size for trial in trials}
        origin = next(trial.batch_size for trial in trials if trial.reached)
        start = self._sizes.index(origin)
        for way in (self._sizes[:start][::-1], self._sizes[start + 1 :]):
            least = mean(costs[origin])
            for size in way:
                if size not in tried:
                    return size
                if size not in costs or mean(costs[size]) > WORSE * least:
                    break
                least = min(least, mean(costs[size]))
        return None

    def _sample(self, costs: dict[int, list[float]], best: float, num_trials: int) -> int:
        """The size of the least cost, each drawn from what is believed of its mean."""
        rng = np.random.default_rng((self._seed, num_trials))
        drawn = {
            size: rng.normal(mean(found), _spread(found) / len(found) ** 0.5)
            for size, found in sorted(costs.items())
            if mean(found) <= STOP * best
        }
        return min(drawn, key=lambda size: drawn[size])


def costs_of(trials: Sequence[Trial]) -> dict[int, list[float]]:
    """Of the runs that reached their target, by batch size."""
    costs: dict[int, list[float]] = {}
    for trial in trials:
        if trial.reached:
            costs.setdefault(trial.batch_size, []).append(trial.cost)
    return costs


def since_drift(trials: Sequence[Trial]) -> Sequence[Trial]:
    """The trials since the workload last changed: since a size whose newest runs all cost another
    multiple than those before. All of them where it has not."""
    for start in _changes(trials):
        return trials[start:]
    return trials


def _changes(trials: Sequence[Trial]) -> Iterator[int]:
    """Where drift was seen, newest first: the position of the first run of another cost."""
    reached = [(place, trial) for place, trial in enumerate(trials) if trial.reached]
    for last in range(len(reached), RECENT, -1):
        size = reached[last - 1][1].batch_size
        runs = [(place, trial.cost) for place, trial in reached[:last] if trial.batch_size == size]
        before, recent = runs[:-RECENT], runs[-RECENT:]
        if not before:
            continue
        usual = mean(cost for _, cost in before)
        dearer = min(cost for _, cost in recent) > DRIFT * usual
        cheaper = max(cost for _, cost in recent) * DRIFT < usual
        if dearer or cheaper:
            yield recent[0][0]


def _spread(costs: Sequence[float]) -> float:
    """Standard deviation of one run's cost; with few runs drawn towards SPREAD of the mean."""
    usual = SPREAD * mean(costs)
    around = sum((cost - mean(costs)) ** 2 for cost in costs)
    return float(((RECENT * usual**2 + around) / (RECENT + len(costs) - 1)) ** 0.5)
