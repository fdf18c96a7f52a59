"""Batch size and power limit of recurring runs, on published measurements of six workloads.

Judged twice: by joules alone, without a grid; and by joules and grams of the same runs where each
has a deadline and the grid is one of the recorded traces. See `recurrences` and `shifting`.
"""

from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.publish import circumstances, publish
from benchmarks.recurrences import NUM_RECURRENCES, Workload, load_all, recurrences
from benchmarks.shifting import PLANNERS, Shifted, Terms, shift_all
from lowtide.controller.power import PowerPoint, Tradeoff, choose_power, cost_per_sample_j
from lowtide.energy.sources import KWH_IN_J

FOLDER = Path("../shared/data/zeus")
TRACES = Path("../shared/data/carbon")
PROFILE_ERROR = 0.03  # of watts and of throughput, relative, of some seconds at a limit: assumed
NUM_PROFILES = 1000


def judge(work: Workload, eta: float, seeds: int) -> dict[str, float]:
    """Against the default at full power, and against the configuration that is best on average."""
    tradeoff = Tradeoff(eta, work.max_power_w)
    chosen = {size: choose_power(points, tradeoff) for size, points in work.points.items()}
    epoch_kwh = {size: p.power_w / p.throughput / KWH_IN_J for size, p in chosen.items()}
    full = work.full_power(work.default)
    default_kwh = work.default_s * full.power_w / KWH_IN_J
    usual = [work.mean_epochs(size) * kwh for size, kwh in epoch_kwh.items()]  # NaN if one failed
    best_kwh = min(kwh for kwh in usual if np.isfinite(kwh))
    ours = [
        sum(run.num_epochs * epoch_kwh[run.batch_size] for run in recurrences(work, tradeoff, seed))
        / NUM_RECURRENCES
        for seed in range(seeds)
    ]
    gaps = power_gaps(work, tradeoff)
    return {
        "default_kwh": default_kwh,
        "best_kwh": best_kwh,
        "ours_kwh_mean_of_50": mean(ours),
        "ours_kwh_worst_seed": max(ours),
        "share_of_best_saving": (default_kwh - mean(ours)) / (default_kwh - best_kwh),
        "share_worst_seed": (default_kwh - max(ours)) / (default_kwh - best_kwh),
        "first_run_power_gap": float(gaps.mean()),
        "first_run_power_gap_p95": float(np.quantile(gaps, 0.95)),
        "first_run_power_gap_worst": float(gaps.max()),
    }


def power_gaps(work: Workload, tradeoff: Tradeoff, seeds: int = NUM_PROFILES) -> np.ndarray:
    """By how much the limit that a profile of the first steps chooses costs more than the best one,
    one figure for each seeded profile: the recorded means of the default batch size, each watt and
    each throughput off by a normal error of PROFILE_ERROR. Judged on the recorded means.

    The error is an assumption: the data have one mean a limit, and tell nothing of its spread.
    """
    points = work.points[work.default]
    costs = {point.limit_w: cost_per_sample_j(point, tradeoff) for point in points}
    gaps = []
    for seed in range(seeds):
        error = np.random.default_rng(seed).normal(1.0, PROFILE_ERROR, (len(points), 2))
        seen = [
            PowerPoint(point.limit_w, point.power_w * watts, point.throughput * rate)
            for point, (watts, rate) in zip(points, error, strict=True)
        ]
        gaps.append(costs[choose_power(seen, tradeoff).limit_w] / min(costs.values()) - 1)
    return np.array(gaps)


def savings(by_trace: dict[str, Shifted]) -> dict[str, Any]:
    """Shares of what the default spends when begun at once, mean over the traces, and the points
    by which grams fall more than energy does. All by the first planner."""
    ones = list(by_trace.values())
    planner = next(iter(ones[0].energy_ratio))
    points = {name: one.points(planner) for name, one in by_trace.items()}
    return {
        "energy_saved": 1 - mean(one.energy_ratio[planner] for one in ones),
        "grams_saved": 1 - mean(one.grams_ratio[planner] for one in ones),
        "grams_points_beyond_energy": mean(points.values()),
        "grams_points_beyond_energy_foresight": mean(one.points("oracle") for one in ones),
        "grams_per_kwh_saved": 1
        - mean(one.grams_ratio[planner] / one.energy_ratio[planner] for one in ones),
        "deadline_misses": sum(one.deadline_misses for one in ones),
        "stopped_runs_of_50": NUM_RECURRENCES * mean(one.stopped / one.num_runs for one in ones),
        "grams_points_by_trace": points,
    }


def shifted(traces: list[Path], works: dict[str, Workload], terms: Terms) -> dict[str, Any]:
    """`savings` by workload."""
    grids: dict[str, dict[str, Shifted]] = {name: {} for name in works}
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("runs on grids", total=len(traces) * len(works))
        for trace, name, one in shift_all(traces, works, terms):
            grids[name][trace] = one
            bar.advance(task)
    return {name: savings(by_trace) for name, by_trace in grids.items()}


def main(
    train: Annotated[Path, typer.Option(help="Epochs to each target.")] = FOLDER
    / "summary_train.csv",
    power: Annotated[list[Path] | None, typer.Option(help="Seconds and watts, per GPU.")] = None,
    eta: Annotated[float, typer.Option(min=0, max=1, help="1: energy alone; 0: time.")] = 1.0,
    traces: Annotated[Path, typer.Option(help="A folder of grids to run on.")] = TRACES,
    job_hours: Annotated[float, typer.Option(min=1, help="Of the default, stretched.")] = 12,
    slack: Annotated[float, typer.Option(min=0, help="To the deadline, in such jobs.")] = 0.5,
    resume_minutes: Annotated[float, typer.Option(min=0, help="Lost at each resume.")] = 5,
    idle_power: Annotated[float, typer.Option(min=0, help="While parked, of full power.")] = 0.1,
    foresight: Annotated[bool, typer.Option(help="Plan with the future known alone.")] = False,
    quick: Annotated[bool, typer.Option(help="Fewer seeds, every other grid.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Fifty recurrences of each workload on each GPU."""
    files = power or sorted(FOLDER.glob("summary_power_*.csv"))
    grids = sorted(traces.glob("*.csv*"))[:: 2 if quick else 1]
    if not train.exists() or not files:
        raise SystemExit(f"no measurements in {FOLDER}: give --train and --power")
    if not grids:
        raise SystemExit(f"no traces in {traces}: give a folder with --traces")
    works, seeds = load_all(train, files), 4 if quick else 20
    terms = Terms(
        job_hours, slack, resume_minutes / 60, idle_power, eta, 1 if quick else 4,
        PLANNERS[1:] if foresight else PLANNERS,
    )  # fmt: skip
    on_grids = shifted(grids, works, terms)
    workloads = {name: judge(work, eta, seeds) | on_grids[name] for name, work in works.items()}
    result = {
        "eta": eta,
        "profile_error": PROFILE_ERROR,
        "num_profiles": NUM_PROFILES,
        "num_recurrences": NUM_RECURRENCES,
        "terms": asdict(terms) | {"num_traces": len(grids)},
        "workloads": workloads,
        "mean_share_of_best_saving": _mean(workloads, "share_of_best_saving"),
        "worse_than_default": len(
            [w for w in workloads.values() if w["ours_kwh_mean_of_50"] > w["default_kwh"]]
        ),
        "grams_points_beyond_energy_mean": _mean(workloads, "grams_points_beyond_energy"),
        "grams_points_beyond_energy_foresight_mean": _mean(
            workloads, "grams_points_beyond_energy_foresight"
        ),
        "grams_per_kwh_saved_mean": _mean(workloads, "grams_per_kwh_saved"),
        "deadline_misses": sum(w["deadline_misses"] for w in workloads.values()),
        **circumstances(num_repeats=seeds),
    }
    publish("controller", result, _table(result), as_json)


def _mean(workloads: dict[str, dict[str, Any]], figure: str) -> float:
    return float(mean(one[figure] for one in workloads.values()))


def _table(result: dict[str, Any]) -> Table:
    head = (
        "default, kWh",
        "best",
        "ours",
        "share of saving (worst seed)",
        "first power off by (worst)",
    )
    on_grids = ("energy saved", "grams saved", "points more", "with foresight")
    table = Table("workload", *head, *on_grids)
    for name, one in result["workloads"].items():
        table.add_row(
            name,
            *(f"{one[key]:.3g}" for key in ("default_kwh", "best_kwh", "ours_kwh_mean_of_50")),
            f"{one['share_of_best_saving']:.2f} ({one['share_worst_seed']:.2f})",
            f"{one['first_run_power_gap']:.1%} ({one['first_run_power_gap_p95']:.1%}, "
            f"{one['first_run_power_gap_worst']:.1%})",
            *(f"{one[key]:.1%}" for key in ("energy_saved", "grams_saved")),
            f"{one['grams_points_beyond_energy']:.1f}",
            f"{one['grams_points_beyond_energy_foresight']:.1f}",
        )
    terms = result["terms"]
    table.caption = (
        f"mean share {result['mean_share_of_best_saving']:.2f}, worse than the default: "
        f"{result['worse_than_default']}; eta {result['eta']}, n = {result['num_repeats']} seeds. "
        f"On grids: {terms['work_hours']:g} h of work, slack {terms['slack']:g} of it, mean of "
        f"{terms['num_traces']} traces, n = {terms['seeds']} seeds, points more in the mean "
        f"{result['grams_points_beyond_energy_mean']:.1f} (with foresight "
        f"{result['grams_points_beyond_energy_foresight_mean']:.1f}), deadline misses "
        f"{result['deadline_misses']}"
    )
    return table


if __name__ == "__main__":
    typer.run(main)
