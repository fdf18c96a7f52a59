"""What the runs of the ablation come to: against traditional training, against a strong baseline at
the same accuracy, and in grams on recorded grids."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.arms import LEVERS, Runs, Trained
from lowtide.carbon.trace import TraceSource
from lowtide.planning.backtest import Grid, Setting, policy_for, prepare, releases
from lowtide.planning.profile import WorkProfile
from lowtide.planning.simulate import Job, simulate

WORK_HOURS, SLACK_HOURS = 12.0, 24.0
PAUSES = WorkProfile(resume_hours=5 / 60, idle_power=0.1)
NUM_RELEASES = 30  # over the second half of a trace
SHIFTED = ("time shift", "all ")  # how the names of arms begin that wait for clean hours


def summary(runs: Runs, traces: list[Path]) -> dict[str, Any]:
    usual = runs["traditional"]
    chosen = _shortest(runs, "all", mean(run.val_accuracy for run in usual))
    grids = _on_grids(runs, traces)
    levers = {name: _against(runs.get(name, usual), usual, grids, name) for name in _levers(runs)}
    lengths = {name: _against(runs[name], usual, grids, name) for name in _family(runs, "all")}
    strong = {name: _against_strong(runs, grids, name) for name in lengths}
    known = [one for one in strong.values() if one is not None]
    grams = [one["emissions_ratio"] for one in known if one["emissions_ratio"] is not None]
    return {
        "levers": levers,
        "lengths": lengths,
        "against_strong": strong,
        "all": {
            **lengths[chosen],
            "ours": chosen,
            "emissions_ratio_traditional": lengths[chosen]["emissions_ratio"],
            "emissions_ratio_strong": mean(grams) if grams else None,
            "energy_ratio_strong": mean(o["energy_ratio"] for o in known) if known else None,
        },
        "runs": {name: [asdict(run) for run in found] for name, found in runs.items()},
    }


def _levers(runs: Runs) -> list[str]:
    """Names of those that were trained alone. The time shift is of traditional training's runs."""
    return [arm.name for arm in LEVERS if arm.shift or arm.name in runs]


def _family(runs: Runs, family: str) -> list[str]:
    """Names of its lengths, the shortest first."""
    return [name for name in runs if name.startswith(f"{family} ")]


def _against_strong(
    runs: Runs, grids: Mapping[str, Mapping[str, list[float]]], name: str
) -> dict[str, Any] | None:
    """One length of "all" against what the strong baseline needs for the same accuracy, between
    the lengths it was tried at; None where that is outside of them."""

    def of(length: str, seed: int | None) -> tuple[float, float]:
        chosen = runs[length] if seed is None else [runs[length][seed]]
        return mean(run.accuracy for run in chosen), mean(run.energy_kwh for run in chosen)

    def ratio(seed: int | None) -> float | None:
        found = [of(length, seed) for length in _family(runs, "strong")]
        accuracies = np.maximum.accumulate([accuracy for accuracy, _ in found])
        accuracy, kwh = of(name, seed)
        if not accuracies[0] <= accuracy <= accuracies[-1]:
            return None
        return kwh / float(np.interp(accuracy, accuracies, [each for _, each in found]))

    pooled = ratio(None)
    if pooled is None:
        return None
    cleaner = [mean(grid[name]) / mean(grid["traditional"]) for grid in grids.values()]
    return {
        "energy_ratio": pooled,
        "energy_ratio_by_seed": [ratio(seed) for seed in range(len(runs[name]))],
        "emissions_ratio": pooled * mean(cleaner) if cleaner else None,
        "accuracy": of(name, None)[0],
    }


def _shortest(runs: Runs, family: str, enough: float) -> str:
    """The shortest cycle that is accurate enough on validation images, or the best there is.

    Both families are tuned in the same way: as somebody who trains again and again would.
    """
    lengths = _family(runs, family)
    accuracy = {name: mean(run.val_accuracy for run in runs[name]) for name in lengths}
    good = [name for name in lengths if accuracy[name] >= enough]
    return good[0] if good else max(lengths, key=lambda name: accuracy[name])


def _on_grids(runs: Runs, traces: list[Path]) -> dict[str, dict[str, list[float]]]:
    """`_intensities` of every arm by trace; a run's hours are as its energy, at constant power."""
    usual = runs["traditional"]
    hours = {
        name: [
            WORK_HOURS * run.energy_kwh / base.energy_kwh
            for run, base in zip(runs.get(name, usual), usual, strict=True)
        ]
        for name in ("traditional", *_levers(runs), *_family(runs, "all"))
    }
    with ProcessPoolExecutor() as pool:
        found = pool.map(_intensities, traces, [hours] * len(traces))
        return {path.name.split(".")[0]: grid for path, grid in zip(traces, found, strict=True)}


def _intensities(path: Path, hours: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Grams per kWh of jobs of so many hours at constant power, by arm: mean over releases."""
    series = TraceSource(path, path.name.split(".")[0]).hours()
    grid = prepare(series, Setting(WORK_HOURS, SLACK_HOURS))
    known: dict[tuple[float, bool], float] = {}

    def grams_per_kwh(work_hours: float, shifted: bool) -> float:
        if (work_hours, shifted) not in known:
            known[work_hours, shifted] = _grams_per_kwh(grid, work_hours, shifted)
        return known[work_hours, shifted]

    return {
        name: [grams_per_kwh(each, name.startswith(SHIFTED)) for each in of_arm]
        for name, of_arm in hours.items()
    }


def _grams_per_kwh(grid: Grid, work_hours: float, shifted: bool) -> float:
    """Parked power and lost work count as the job's own."""
    window = WORK_HOURS + SLACK_HOURS
    setting = Setting(work_hours, window - work_hours, PAUSES)
    policy = "lowtide" if shifted else "run-now"
    grams = []
    for start in releases(grid, setting, NUM_RELEASES):
        job = Job(start, setting.window, work_hours)
        done = simulate(policy_for(policy, grid, setting, job), job, grid.truth, PAUSES, 1.0)
        grams.append(done.emissions_g_per_kw)
    return mean(grams) / work_hours


def _against(
    ours: list[Trained], usual: list[Trained], grids: Mapping[str, Any], name: str
) -> dict[str, Any]:
    energy = [one.energy_kwh / base.energy_kwh for one, base in zip(ours, usual, strict=True)]
    points = [100 * (one.accuracy - base.accuracy) for one, base in zip(ours, usual, strict=True)]
    emissions = {
        trace: mean(
            ratio * grid[name][seed] / grid["traditional"][seed]
            for seed, ratio in enumerate(energy)
        )
        for trace, grid in grids.items()
    }
    return {
        "emissions_ratio": mean(emissions.values()) if emissions else None,
        "emissions_ratio_by_trace": emissions,
        "energy_ratio": mean(energy),
        "accuracy_delta_points": mean(points),
        "spread": {
            "energy_ratio": [min(energy), max(energy)],
            "accuracy_delta_points_sd": stdev(points) if len(points) > 1 else None,
        },
    }
