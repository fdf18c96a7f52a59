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
from lowtide.controller.recurring import BatchSizes, Trial

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
    """One recurrence. `num_epochs` until its target, or until it was stopped; what the first run
    with a batch size spends on measuring is counted in epochs of the same joules."""

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

    The first run with a batch size spends an epoch on measuring: an equal part at each limit. A run
    is stopped where its choice says so, and where even full power would take it past `most_s`.
    """
    chooser, rng = BatchSizes(list(work.points), work.default, seed), np.random.default_rng(seed)
    trials: list[Trial] = []
    runs: list[Run] = []
    for _ in range(NUM_RECURRENCES):
        choice = chooser.choose(trials)
        points = work.points[choice.batch_size]
        epoch = _epoch(choose_power(points, tradeoff))
        drawn = float(rng.choice(work.epochs[choice.batch_size]))
        used = (drawn if np.isfinite(drawn) else work.most[choice.batch_size]) * epoch
        if all(trial.batch_size != choice.batch_size for trial in trials):
            used += np.mean([_epoch(other) for other in points], axis=0) - epoch
        cost, num_epochs = tradeoff.cost_j(*used), float(used[0] / epoch[0])
        least_s = num_epochs / work.full_power(choice.batch_size).throughput
        stopped = min(choice.cost_limit / cost, most_s / least_s, 1.0)
        reached = stopped == 1.0 and bool(np.isfinite(drawn))
        trials.append(Trial(choice.batch_size, cost * stopped, reached))
        runs.append(Run(choice.batch_size, num_epochs * stopped, reached))
    return runs


def _epoch(point: PowerPoint) -> np.ndarray:
    """(joules, seconds) of an epoch."""
    return np.array([point.power_w, 1.0]) / point.throughput
