"""Carbon-aware training against traditional training, lever by lever.

Every arm is trained and metered for real, on one thread beside as many others as there are cores:
a run has its share of the processor's joules, by CPU time. "All" are the levers that paid in
earlier experiments (docs/experiments.md). The grid does not change what is learnt, only when: so
grams come from replaying each run's energy on recorded traces, as a job that takes a traditional
run 12 h and has 24 h of slack. Without the time shift it begins at once; with it, it is planned in
a receding horizon by lowtide's own forecasts and planner, as in `lowtide backtest`, pauses, resumes
and idle power priced.
"""

import json
import multiprocessing
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.arms import (
    ALL,
    LEVERS,
    STRONG,
    TRADITIONAL,
    WEIGHTS,
    Arm,
    Runs,
    Task,
    Trained,
    train,
)
from benchmarks.compared import summary
from benchmarks.publish import circumstances, publish
from lowtide.data.prepare import prepare as prepare_data
from lowtide.params import DataParams
from lowtide.training.allocator import keep_freed_memory

TRACES = Path("../shared/data/carbon")
CIFAR = Path("../shared/data/cifar10")
BUDGET = 1.5  # of the energy of traditional training: far enough not to end any arm
LENGTHS = (0.125, 0.25, 0.375, 0.5, 0.75)  # of the task's epochs, tried for both


def main(
    quick: Annotated[bool, typer.Option(help="digits, one seed, five grids")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    cifar_images: Annotated[int | None, typer.Option(help="train on the first N only")] = None,
    cifar_model: Annotated[str, typer.Option()] = "tidenet-xs",
    cifar_epochs: Annotated[int, typer.Option(min=2)] = 8,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    only: Annotated[str | None, typer.Option(help="digits or cifar10")] = None,
    alone: Annotated[bool, typer.Option(help="each lever alone, beside all of them")] = True,
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
        if not tasks:
            raise SystemExit(f"no task {only!r}: take digits, or cifar10 where {CIFAR} is")
        done = Done(keep)
        runs = {task.name: _train_all(task, range(seeds), folder, done, alone) for task in tasks}
    traces = sorted(TRACES.glob("*.csv.gz"))[:: 2 if quick else 1]
    result = {
        "tasks": {task.name: {**asdict(task), "folder": None} for task in tasks},
        "weights": dict(zip(("alpha", "beta", "gamma"), WEIGHTS, strict=True)),
        "by_task": {name: summary(of_task, traces) for name, of_task in runs.items()},
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


def _train_all(task: Task, seeds: Sequence[int], folder: Path, done: Done, alone: bool) -> Runs:
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
        levers = [arm for arm in LEVERS if alone and not arm.shift]
        arms = (*lengths, *levers)
        return usual | _train_some(pool, task, arms, seeds, folder, done, of_seed)


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
    pairs = [(arm, seed) for arm in arms for seed in seeds]
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
