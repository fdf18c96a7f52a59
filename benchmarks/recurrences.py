"""Published measurements of six training workloads on two GPUs, and runs drawn from them.

They were made by the Zeus project (NSDI 2023): seconds and watts of an epoch by batch size and
power limit, and after how many epochs each of several seeded runs reached its target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lowtide.controller.power import PowerPoint, Tradeoff, choose_power
from lowtide.controller.recurring import BatchSizes, Choice, Trial

NUM_RECURRENCES = 50
# Target metric and default batch size of the paper.
WORKLOADS = {
    ("cifar100", "shufflenetv2"): (0.60, 1024),
    ("imagenet", "resnet50"): (0.65, 256),
    ("librispeech", "deepspeech2"): (40, 192),
    ("movielens-1m", "ncf"): (0.41, 1024),
    ("squad", "bert_base_uncased"): (84, 32),
    ("sentiment140", "bert_base_uncased"): (0.84, 128),
}


@dataclass(frozen=True)
class Workload:
    """`points`: per batch size, an epoch's power and rate at each limit; `epochs`: per batch size
    what each recorded run took to its target, NaN where it never got there; `most`: how long the
    longest of them was watched."""

    default: int
    points: Mapping[int, list[PowerPoint]]
    epochs: Mapping[int, np.ndarray]
    most: Mapping[int, float]

    @property
    def max_power_w(self) -> float:
        return max(point.limit_w for points in self.points.values() for point in points)

    @cached_property
    def default_s(self) -> float:
        """Seconds that a run of the default takes, mean of those recorded."""
        return self.mean_epochs(self.default) / self.full_power(self.default).throughput

    def full_power(self, size: int) -> PowerPoint:
        return max(self.points[size], key=lambda point: point.limit_w)

    def mean_epochs(self, size: int) -> float:
        """To the target; NaN if one run failed."""
        return float(np.mean(self.epochs[size]))


@dataclass(frozen=True)
class Run:
    """One recurrence. `reached`: its target with the batch size that it took. `num_epochs`: with
    that one; what the first run with a batch size spends on measuring, and what is done with the
    best one after it was given up, is counted in epochs of the same joules."""

    batch_size: int
    num_epochs: float
    reached: bool


def load_all(train: Path, power: Sequence[Path]) -> dict[str, Workload]:
    """By GPU/NAME."""
    epochs, found = pd.read_csv(train), {}
    for file in power:
        gpu, rows = file.stem.removeprefix("summary_power_"), pd.read_csv(file)
        for key in WORKLOADS:
            found[f"{gpu}/{key[0]}"] = load(epochs, rows, key)
    return found


def load(train: pd.DataFrame, power: pd.DataFrame, key: tuple[str, str]) -> Workload:
    target, default = WORKLOADS[key]
    runs = train[(train.dataset == key[0]) & (train.network == key[1])]
    reached = runs[runs.target_metric == target]
    rows = power[(power.dataset == key[0]) & (power.network == key[1])]
    rows = rows[rows.optimizer == reached.optimizer.iloc[0]]
    sizes = sorted(set(rows.batch_size) & set(reached.batch_size))
    points = {
        size: [
            PowerPoint(float(row.power_limit), float(row.average_power), 1 / row.time_per_epoch)
            for row in rows[rows.batch_size == size].itertuples()
        ]
        for size in sizes
    }
    epochs = {size: reached[reached.batch_size == size].target_epoch.to_numpy() for size in sizes}
    most = {size: float(runs[runs.batch_size == size].target_epoch.max()) for size in sizes}
    fits = default if default in sizes else max(sizes)
    return Workload(fits, points, epochs, most)


def recurrences(
    work: Workload, tradeoff: Tradeoff, seed: int, most_s: float = float("inf")
) -> list[Run]:
    """Fifty runs, each a draw from those recorded with the batch size that the ones before chose.

    A run is stopped for good where even full power would take it past `most_s`.
    """
    chooser, rng = BatchSizes(list(work.points), work.default, seed), np.random.default_rng(seed)
    trials: list[Trial] = []
    runs: list[Run] = []
    for _ in range(NUM_RECURRENCES):
        choice = chooser.choose(trials)
        size, first = choice.batch_size, all(one.batch_size != choice.batch_size for one in trials)
        spent, trial = night(work, choice, tradeoff, rng, first=first)
        num_epochs = float(spent[0] / _epoch(work, size, tradeoff)[0])
        done = min(most_s * work.full_power(size).throughput / num_epochs, 1.0)
        reached = trial.reached and done == 1.0
        trials.append(Trial(size, min(trial.cost, tradeoff.cost_j(*spent) * done), reached))
        runs.append(Run(size, num_epochs * done, reached))
    return runs


def night(
    work: Workload, choice: Choice, tradeoff: Tradeoff, rng: np.random.Generator, *, first: bool
) -> tuple[np.ndarray, Trial]:
    """(joules, seconds) of one run, and what it tells of its batch size.

    As the trainer does it: at the end of the epoch in which it has cost its limit the run goes on
    with the best batch size. An epoch is taken to do its part of the whole, if the recorded run got
    there, and nothing otherwise. The first run with a batch size spends an epoch on measuring: an
    equal part at each limit.
    """
    size, best = choice.batch_size, choice.best_size
    epoch, extra = _epoch(work, size, tradeoff), np.zeros(2)
    if first:
        extra = np.mean([_at(point) for point in work.points[size]], axis=0) - epoch
    num_epochs, reaches = _draw(work, size, rng)
    worth_j = choice.cost_limit - tradeoff.cost_j(*extra)
    left_at = max(float(np.ceil(worth_j / tradeoff.cost_j(*epoch))), 1.0)
    if size == best or left_at >= num_epochs:
        whole = extra + num_epochs * epoch
        return whole, Trial(size, tradeoff.cost_j(*whole), reaches)
    tried = extra + left_at * epoch
    undone = 1 - left_at / num_epochs if reaches else 1.0
    rest = undone * _draw(work, best, rng)[0] * _epoch(work, best, tradeoff)
    return tried + rest, Trial(size, tradeoff.cost_j(*tried), reached=False)


def _draw(work: Workload, size: int, rng: np.random.Generator) -> tuple[float, bool]:
    """Epochs of a recorded run, and whether it got to its target."""
    drawn = float(rng.choice(work.epochs[size]))
    return (drawn, True) if np.isfinite(drawn) else (work.most[size], False)


def _epoch(work: Workload, size: int, tradeoff: Tradeoff) -> np.ndarray:
    """At the limit of least cost."""
    return _at(choose_power(work.points[size], tradeoff))


def _at(point: PowerPoint) -> np.ndarray:
    """(joules, seconds) of an epoch."""
    return np.array([point.power_w, 1.0]) / point.throughput
