"""Carbon-aware training against traditional training, lever by lever.

Every arm is trained and metered for real, seed by seed, the arms of a seed one after the other. The
grid does not change what is learnt, only when: so grams come from replaying each run's energy on
recorded traces, as a job that takes a traditional run 12 h and has 24 h of slack. Without the time
shift it begins at once; with it, it is planned in a receding horizon by lowtide's own forecasts and
planner, as in `lowtide backtest`, pauses, resumes and idle power priced.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.arms import WEIGHTS, Arm, Task, Trained, train
from benchmarks.publish import circumstances, publish
from lowtide.carbon.trace import TraceSource
from lowtide.data.prepare import prepare as prepare_data
from lowtide.energy.sources import open_sources
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
    Arm("gates", gates=True),
    Arm("early landing", land=True),
)
ALL = Arm("all", True, True, True, True, True, True)
STRONG = Arm("strong", cycle=True, precision=True)
LENGTHS = (0.2, 0.3, 0.4, 0.55, 0.75)  # of the task's epochs, tried for both


def main(
    quick: Annotated[bool, typer.Option(help="digits, one seed, five grids")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    cifar_images: Annotated[int | None, typer.Option(help="train on the first N only")] = None,
    cifar_model: Annotated[str, typer.Option()] = "tidenet-s",
    cifar_epochs: Annotated[int, typer.Option(min=2)] = 20,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    only: Annotated[str | None, typer.Option(help="digits or cifar10")] = None,
) -> None:
    """Ratios of emissions and energy to traditional training, and points of accuracy lost."""
    keep_freed_memory()
    seeds = 1 if quick else seeds
    sources = open_sources()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = [_digits(folder)]
        if CIFAR.exists() and not quick:
            tasks.append(_cifar(folder, cifar_images, cifar_model, cifar_epochs))
        tasks = [task for task in tasks if only in (None, task.name)]
        runs = {task.name: _train_all(task, seeds, sources, folder) for task in tasks}
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
                "shift", None, 0.5)  # fmt: skip


def _cifar(folder: Path, num_images: int | None, model: str, epochs: int) -> Task:
    data = _data(
        "parquet", CIFAR / "train-00000-of-00001.parquet", CIFAR / "test-00000-of-00001.parquet"
    )
    prepare_data(data, 0, folder / "cifar10")
    return Task("cifar10", folder / "cifar10", model, epochs, 128, (64, 128, 256), 0.03, 0.1,
                "flip-shift", num_images, 0.6)  # fmt: skip


def _data(source: str, path: Path | None, test_path: Path | None) -> DataParams:
    return DataParams(
        source=source, path=path, test_path=test_path, val_fraction=0.1, test_fraction=0.2,
        image_size=None, skip_bad=False,
    )  # fmt: skip


Runs = dict[str, list[Trained]]  # by arm, a run for each seed


def _train_all(task: Task, seeds: int, sources: list[Any], folder: Path) -> Runs:
    tuned = [
        replace(arm, name=f"{arm.name} {length:.0%}", epochs=length)
        for arm in (ALL, STRONG)
        for length in LENGTHS
    ]
    arms = [TRADITIONAL, *(arm for arm in LEVERS if not arm.shift), *tuned]
    runs: Runs = {arm.name: [] for arm in arms}
    with Progress(console=Console(stderr=True)) as bar:
        todo = bar.add_task(task.name, total=len(arms) * seeds)
        for seed in range(seeds):
            for arm in arms:
                usual = runs["traditional"][seed].energy_kwh if runs["traditional"][seed:] else None
                budget = None if usual is None else BUDGET * usual
                target = runs["traditional"][seed].val_accuracy if budget else None
                found = train(task, arm, seed, budget, target, sources, folder)
                runs[arm.name].append(found)
                bar.console.print(
                    f"{task.name} {arm.name}, seed {seed}: {found.accuracy:.4f}, "
                    f"{found.energy_kwh * 1000:.2f} Wh, {found.duration_s:.0f} s, "
                    f"{found.epochs:.1f} epochs, {found.macs_share:.2f} of the MACs",
                    soft_wrap=True,
                )
                bar.advance(todo)
    return runs


def _summary(runs: Runs, traces: list[Path]) -> dict[str, Any]:
    usual = runs["traditional"]
    enough = mean(run.val_accuracy for run in usual)
    chosen = _shortest(runs, "all", enough)
    ours = runs[chosen]
    strong = _shortest(runs, "strong", mean(run.val_accuracy for run in ours))
    runs = {**runs, "all": ours}
    grids = {path.name.split(".")[0]: _intensities(path, runs, strong) for path in traces}
    levers = {
        arm.name: _against(runs.get(arm.name, usual), usual, grids, arm.name) for arm in LEVERS
    }
    whole = _against(ours, usual, grids, "all")
    of_strong = [
        mean(
            grid["all"][seed] * run.energy_kwh / (grid[strong][seed] * base.energy_kwh)
            for seed, (run, base) in enumerate(zip(ours, runs[strong], strict=True))
        )
        for grid in grids.values()
    ]
    return {
        "levers": levers,
        "all": {
            **whole,
            "emissions_ratio_traditional": whole["emissions_ratio"],
            "emissions_ratio_strong": mean(of_strong) if of_strong else None,
            "energy_ratio_strong": mean(r.energy_kwh for r in ours)
            / mean(r.energy_kwh for r in runs[strong]),
            "accuracy_delta_points": whole["accuracy_delta_points"],
            "ours": chosen,
            "strong": strong,
            "points_against_strong": 100
            * (mean(r.accuracy for r in ours) - mean(r.accuracy for r in runs[strong])),
        },
        "runs": {name: [asdict(run) for run in found] for name, found in runs.items()},
    }


def _shortest(runs: Runs, family: str, enough: float) -> str:
    """The shortest cycle that is accurate enough on validation images, or the best there is.

    Both families are tuned in the same way: as somebody who trains again and again would.
    """
    lengths = [name for name in runs if name.startswith(f"{family} ")]
    accuracy = {name: mean(run.val_accuracy for run in runs[name]) for name in lengths}
    good = [name for name in lengths if accuracy[name] >= enough]
    return good[0] if good else max(lengths, key=lambda name: accuracy[name])


def _intensities(path: Path, runs: Runs, strong: str) -> dict[str, list[float]]:
    """Grams per kWh of every arm's runs on one trace, mean over releases."""
    series = TraceSource(path, path.name.split(".")[0]).hours()
    grid = prepare(series, Setting(WORK_HOURS, SLACK_HOURS))
    shifted = {"time shift", "all"}
    found: dict[str, list[float]] = {}
    for name in ("traditional", *(arm.name for arm in LEVERS), "all", strong):
        of_arm = runs.get(name, runs["traditional"])
        found[name] = [
            _grams_per_kwh(grid, WORK_HOURS * run.duration_s / usual.duration_s, name in shifted)
            for run, usual in zip(of_arm, runs["traditional"], strict=True)
        ]
    return found


def _grams_per_kwh(grid: Grid, work_hours: float, shifted: bool) -> float:
    """Of the job at constant power; parked power and lost work count as its own."""
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
        for name, row in (*found["levers"].items(), (found["all"]["ours"], found["all"])):
            grams = row["emissions_ratio"]
            table.add_row(
                task, name, "" if grams is None else f"{grams:.2f}", f"{row['energy_ratio']:.2f}",
                f"{row['accuracy_delta_points']:+.2f}",
            )  # fmt: skip
        strong = found["all"]["emissions_ratio_strong"]
        table.add_row(
            task, f"all, against {found['all']['strong']}",
            "" if strong is None else f"{strong:.2f}", f"{found['all']['energy_ratio_strong']:.2f}",
            f"{found['all']['points_against_strong']:+.2f}",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    typer.run(main)
