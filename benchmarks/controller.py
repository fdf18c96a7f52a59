"""Batch size and power limit of recurring runs, on published measurements of six workloads.

What is replayed was measured by the Zeus project (NSDI 2023) on two GPUs: seconds and watts of an
epoch by batch size and power limit, and after how many epochs each of several seeded runs reached
its target. A recurrence draws one of those runs.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.table import Table

from benchmarks.publish import circumstances, publish
from lowtide.controller.power import PowerPoint, Tradeoff, choose_power, cost_per_sample_j
from lowtide.controller.recurring import BatchSizes, Trial

FOLDER = Path("../shared/data/zeus")
NUM_RECURRENCES = 50
KWH_IN_J = 3.6e6
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
    points: dict[int, list[PowerPoint]]
    epochs: dict[int, np.ndarray]
    most: dict[int, float]

    @property
    def max_power_w(self) -> float:
        return max(point.limit_w for points in self.points.values() for point in points)

    def full_power(self, size: int) -> PowerPoint:
        return max(self.points[size], key=lambda point: point.limit_w)


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


def recur(work: Workload, tradeoff: Tradeoff, seed: int) -> tuple[float, float]:
    """(kWh of all recurrences, how far the first run's power was from the best, in cost).

    The first run with a batch size spends an epoch on measuring: an equal part at each limit.
    """
    chooser, rng = BatchSizes(list(work.points), work.default, seed), np.random.default_rng(seed)
    trials: list[Trial] = []
    energy_j, gap = 0.0, 0.0
    for turn in range(NUM_RECURRENCES):
        choice = chooser.choose(trials)
        points = work.points[choice.batch_size]
        point = choose_power(points, tradeoff)
        if turn == 0:
            least = min(cost_per_sample_j(other, tradeoff) for other in points)
            gap = cost_per_sample_j(point, tradeoff) / least - 1
        drawn = float(rng.choice(work.epochs[choice.batch_size]))
        num_epochs = drawn if np.isfinite(drawn) else work.most[choice.batch_size]
        used_j, spent_s = (num_epochs * part for part in _epoch(point))
        if all(trial.batch_size != choice.batch_size for trial in trials):
            measuring = np.mean([_epoch(other) for other in points], axis=0) - _epoch(point)
            used_j, spent_s = used_j + float(measuring[0]), spent_s + float(measuring[1])
        cost = tradeoff.cost_j(used_j, spent_s)
        stopped = min(choice.cost_limit / cost, 1.0)
        energy_j += used_j * stopped
        reached = stopped == 1.0 and bool(np.isfinite(drawn))
        trials.append(Trial(choice.batch_size, cost * stopped, reached))
    return energy_j / KWH_IN_J, gap


def _epoch(point: PowerPoint) -> np.ndarray:
    """(joules, seconds) of an epoch."""
    return np.array([point.power_w, 1.0]) / point.throughput


def judge(work: Workload, eta: float, seeds: int) -> dict[str, float]:
    """Against the default at full power, and against the configuration that is best on average."""
    tradeoff = Tradeoff(eta, work.max_power_w)
    usual = {size: float(np.mean(runs)) for size, runs in work.epochs.items()}  # NaN if one failed
    full = work.full_power(work.default)
    default_kwh = usual[work.default] * full.power_w / full.throughput / KWH_IN_J
    best_kwh = min(
        usual[size] * point.power_w / point.throughput / KWH_IN_J
        for size, points in work.points.items()
        for point in [choose_power(points, tradeoff)]
        if np.isfinite(usual[size])
    )
    found = [recur(work, tradeoff, seed) for seed in range(seeds)]
    ours = [kwh / NUM_RECURRENCES for kwh, _ in found]
    return {
        "default_kwh": default_kwh,
        "best_kwh": best_kwh,
        "ours_kwh_mean_of_50": mean(ours),
        "ours_kwh_worst_seed": max(ours),
        "share_of_best_saving": (default_kwh - mean(ours)) / (default_kwh - best_kwh),
        "share_worst_seed": (default_kwh - max(ours)) / (default_kwh - best_kwh),
        "first_run_power_gap": max(gap for _, gap in found),
    }


def main(
    train: Annotated[Path, typer.Option(help="Epochs to each target.")] = FOLDER
    / "summary_train.csv",
    power: Annotated[list[Path] | None, typer.Option(help="Seconds and watts, per GPU.")] = None,
    eta: Annotated[float, typer.Option(min=0, max=1, help="1: energy alone; 0: time.")] = 1.0,
    quick: Annotated[bool, typer.Option(help="4 seeds instead of 20.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Fifty recurrences of each workload on each GPU."""
    files = power or sorted(FOLDER.glob("summary_power_*.csv"))
    if not train.exists() or not files:
        raise SystemExit(f"no measurements in {FOLDER}: give --train and --power")
    epochs, seeds = pd.read_csv(train), 4 if quick else 20
    workloads = {}
    for file in files:
        gpu, rows = file.stem.removeprefix("summary_power_"), pd.read_csv(file)
        for key in WORKLOADS:
            workloads[f"{gpu}/{key[0]}"] = judge(load(epochs, rows, key), eta, seeds)
    result = {
        "eta": eta,
        "num_recurrences": NUM_RECURRENCES,
        "workloads": workloads,
        "mean_share_of_best_saving": mean(w["share_of_best_saving"] for w in workloads.values()),
        "worse_than_default": len(
            [w for w in workloads.values() if w["ours_kwh_mean_of_50"] > w["default_kwh"]]
        ),
        **circumstances(num_repeats=seeds),
    }
    publish("controller", result, _table(result), as_json)


def _table(result: dict[str, Any]) -> Table:
    head = ("kWh a run: default", "best", "ours, mean of 50", "share of saving (worst seed)")
    table = Table("workload", *head, "first power off by")
    for name, one in result["workloads"].items():
        table.add_row(
            name,
            *(f"{one[key]:.3g}" for key in ("default_kwh", "best_kwh", "ours_kwh_mean_of_50")),
            f"{one['share_of_best_saving']:.2f} ({one['share_worst_seed']:.2f})",
            f"{one['first_run_power_gap']:.1%}",
        )
    table.caption = (
        f"mean share {result['mean_share_of_best_saving']:.2f}, worse than the default: "
        f"{result['worse_than_default']}; eta {result['eta']}, n = {result['num_repeats']} seeds"
    )
    return table


if __name__ == "__main__":
    typer.run(main)
