"""Carbon-aware training against traditional training, lever by lever.

Every arm is trained and metered for real, on one thread beside as many others as there are cores:
a run has its share of the machine's joules, by CPU time. "All" are the levers that paid in earlier
experiments (docs/experiments.md). The grid does not change what is learnt, only when: so grams come
from replaying each run's energy on recorded traces, as a job that takes a traditional run 12 h and
has 24 h of slack. Without the time shift it begins at once; with it, it is planned in a receding
horizon by lowtide's own forecasts and planner, as in `lowtide backtest`, pauses, resumes and idle
power priced.
"""

import json
import multiprocessing
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.arms import WEIGHTS, Arm, Task, Trained, train
from benchmarks.publish import circumstances, publish
from lowtide.carbon.trace import TraceSource
from lowtide.data.prepare import prepare as prepare_data
from lowtide.params import DataParams
from lowtide.planning.backtest import Grid, Setting, policy_for, prepare, releases
from lowtide.planning.profile import WorkProfile
from lowtide.planning.simulate import Job, simulate
from lowtide.training.allocator import keep_freed_memory

TRACES = Path("../shared/data/carbon")
CIFAR = Path("../shared/data/cifar10")
WORK_HOURS, SLACK_HOURS = 12.0, 24.0
PAUSES = WorkProfile(resume_hours=5 / 60, idle_power=0.1)
BUDGET = 1.5  # of the energy of traditional training: far enough not to end any arm
NUM_RELEASES = 30  # over the second half of a trace
TRADITIONAL = Arm("traditional")
LEVERS = (
    Arm("time shift", shift=True),
    Arm("learning-rate cycle", cycle=True),
    Arm("batch size", batch=True),
    Arm("precision and layout", precision=True),
    Arm("image size", grow=True),
    Arm("gates", gates=True),
    Arm("early landing", land=True, target=True),
)
ALL = Arm("all", cycle=True, precision=True, grow=True, land=True, shift=True)
STRONG = Arm("strong", cycle=True, precision=True)
SHIFTED = ("time shift", "all ")  # how the names of arms begin that wait for clean hours
LENGTHS = (0.125, 0.25, 0.375, 0.5, 0.75)  # of the task's epochs, tried for both


def main(
    quick: Annotated[bool, typer.Option(help="digits, one seed, five grids")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    cifar_images: Annotated[int | None, typer.Option(help="train on the first N only")] = None,
    cifar_model: Annotated[str, typer.Option()] = "tidenet-xs",
    cifar_epochs: Annotated[int, typer.Option(min=2)] = 8,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    only: Annotated[str | None, typer.Option(help="digits or cifar10")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="A file for runs that are done: a killed benchmark goes on.")
    ] = None,
) -> None:
    """Ratios of emissions and energy to traditional training, and points of accuracy lost."""
    seeds = 1 if quick else seeds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = [_digits(folder)]
        if CIFAR.exists() and not quick:
            tasks.append(_cifar(folder, cifar_images, cifar_model, cifar_epochs))
        tasks = [task for task in tasks if only in (None, task.name)]
        runs = {task.name: _train_all(task, range(seeds), folder, Done(keep)) for task in tasks}
    traces = sorted(TRACES.glob("*.csv.gz"))[:: 2 if quick else 1]
    result = {
        "tasks": {task.name: {**asdict(task), "folder": None} for task in tasks},
        "weights": dict(zip(("alpha", "beta", "gamma"), WEIGHTS, strict=True)),
        "by_task": {name: _summary(of_task, traces) for name, of_task in runs.items()},
        **circumstances(num_repeats=seeds),
    }
    main_task = tasks[-1].name
    result |= {key: result["by_task"][main_task][key] for key in ("levers", "all")}
    publish("ablation", result, _table(result), as_json)


def _digits(folder: Path) -> Task:
    data = _data("digits", None, None)
    prepare_data(data, 0, folder / "digits")
    return Task("digits", folder / "digits", "tidenet-m", 24, 64, (32, 64, 128), 0.03, 0.1,
                "shift", None, 0.5, 1.0)  # fmt: skip


def _cifar(folder: Path, num_images: int | None, model: str, epochs: int) -> Task:
    data = _data(
        "parquet", CIFAR / "train-00000-of-00001.parquet", CIFAR / "test-00000-of-00001.parquet"
    )
    prepare_data(data, 0, folder / "cifar10")
    return Task("cifar10", folder / "cifar10", model, epochs, 128, (64, 128, 256), 0.01, 0.4,
                "flip-shift", num_images, 0.6, 0.5)  # fmt: skip


def _data(source: str, path: Path | None, test_path: Path | None) -> DataParams:
    return DataParams(
        source=source, path=path, test_path=test_path, val_fraction=0.1, test_fraction=0.2,
        image_size=None, skip_bad=False,
    )  # fmt: skip


Runs = dict[str, list[Trained]]  # by arm, a run for each seed


class Done:
    """Runs that are through, in a file of a JSON line each, if it is to be kept."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._found = path, dict[str, Trained]()
        if path is not None and path.exists():
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            self._found = {line["key"]: Trained(**line["run"]) for line in lines}

    def get(self, task: Task, arm: Arm, seed: int) -> Trained | None:
        return self._found.get(_key(task, arm, seed))

    def add(self, task: Task, arm: Arm, seed: int, run: Trained) -> None:
        if self._path is not None:
            line = json.dumps({"key": _key(task, arm, seed), "run": asdict(run)})
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _key(task: Task, arm: Arm, seed: int) -> str:
    return repr((replace(task, folder=Path()), arm, seed))


def _train_all(task: Task, seeds: Sequence[int], folder: Path, done: Done) -> Runs:
    """Traditional training, then the lengths of all levers and of the strong baseline, then each
    lever alone."""
    workers = 1 if torch.cuda.is_available() else os.cpu_count() or 1
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=_begin) as pool:
        usual = _train_some(pool, task, (TRADITIONAL,), seeds, folder, done, {})
        of_seed = dict(zip(seeds, usual["traditional"], strict=True))
        lengths = [
            replace(arm, name=f"{arm.name} {length:.0%}", epochs=length)
            for arm in (ALL, STRONG)
            for length in LENGTHS
        ]
        levers = [arm for arm in LEVERS if not arm.shift]
        for arms in (lengths, levers):
            usual |= _train_some(pool, task, arms, seeds, folder, done, of_seed)
        return usual


def _begin() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()


def _train_some(
    pool: ProcessPoolExecutor,
    task: Task,
    arms: Sequence[Arm],
    seeds: Sequence[int],
    folder: Path,
    done: Done,
    usual: Mapping[int, Trained],
) -> Runs:
    """usual: the traditional run of each seed, which says what is a budget and what is enough."""
    pairs = [(arm, seed) for seed in seeds for arm in arms]
    found = {pair: run for pair in pairs if (run := done.get(task, *pair)) is not None}
    waiting = {
        pool.submit(train, task, arm, seed, *_aims(arm, usual.get(seed)), folder): (arm, seed)
        for arm, seed in pairs
        if (arm, seed) not in found
    }
    with Progress(console=Console(stderr=True)) as bar:
        for future in bar.track(as_completed(waiting), total=len(waiting), description=task.name):
            arm, seed = waiting[future]
            run = found[arm, seed] = future.result()
            done.add(task, arm, seed, run)
            bar.console.print(
                f"{task.name} {arm.name}, seed {seed}: {run.accuracy:.4f}, "
                f"{run.energy_kwh * 1000:.2f} Wh, {run.duration_s:.0f} s, "
                f"{run.epochs:.1f} epochs, {run.macs_share:.2f} of the MACs",
                soft_wrap=True,
            )
    return {arm.name: [found[arm, seed] for seed in seeds] for arm in arms}


def _aims(arm: Arm, usual: Trained | None) -> tuple[float | None, float | None]:
    """The budget and the accuracy that is enough."""
    if usual is None:
        return None, None
    return BUDGET * usual.energy_kwh, usual.val_accuracy if arm.target else None


def _summary(runs: Runs, traces: list[Path]) -> dict[str, Any]:
    usual = runs["traditional"]
    chosen = _shortest(runs, "all", mean(run.val_accuracy for run in usual))
    grids = _on_grids(runs, traces)
    levers = {
        arm.name: _against(runs.get(arm.name, usual), usual, grids, arm.name) for arm in LEVERS
    }
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
        for name in ("traditional", *(arm.name for arm in LEVERS), *_family(runs, "all"))
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


def _table(result: dict[str, Any]) -> Table:
    table = Table(
        "task", "lever", "emissions", "energy", "accuracy, points", title="traditional = 1"
    )
    for task, found in result["by_task"].items():
        for name, row in (*found["levers"].items(), *found["lengths"].items()):
            table.add_row(task, name, _ratio(row["emissions_ratio"]), _ratio(row["energy_ratio"]),
                          f"{row['accuracy_delta_points']:+.2f}")  # fmt: skip
        for name, row in found["against_strong"].items():
            if row is not None:
                label = f"{name}, strong at its accuracy = 1"
                grams, energy = (_ratio(row[key]) for key in ("emissions_ratio", "energy_ratio"))
                table.add_row(task, label, grams, energy, "0")
        grams, energy = (
            _ratio(found["all"][f"{key}_ratio_strong"]) for key in ("emissions", "energy")
        )
        table.add_row(task, "mean of these", grams, energy, "0")
        table.caption = f"{found['all']['ours']} is the shortest as good as traditional training"
    return table


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    typer.run(main)
