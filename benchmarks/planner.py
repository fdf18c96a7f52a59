"""The planner against simple policies and perfect foresight, on every trace of a folder.

Everything is replayed and deterministic: a decision for an hour sees only the hours before it.
"""

from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.publish import circumstances, publish
from lowtide.carbon.forecast.evaluate import evaluate_forecasts
from lowtide.carbon.forecast.hourly import Hourly
from lowtide.carbon.trace import TraceSource
from lowtide.planning.backtest import (
    POLICIES,
    Setting,
    bound,
    prepare,
    releases,
    run_all,
    summarise,
)
from lowtide.planning.profile import Level, WorkProfile

ELASTIC = (Level(1, 1.0, 1), Level(2, 1.9, 2), Level(3, 2.7, 3), Level(4, 3.4, 4))
SETTINGS = {
    "12 h of work, 24 h of slack": Setting(12, 24),
    "the same, 5 min lost at each resume": Setting(12, 24, WorkProfile(resume_hours=5 / 60)),
    "the same, elastic 1-4 levels": Setting(12, 24, WorkProfile(ELASTIC)),
    "48 h of work, 144 h of slack": Setting(48, 144),
}
MAIN = "12 h of work, 24 h of slack"
QUICK_STARTS = 40
DAY = 24
TRACES = Path("../shared/data/carbon")
FULL_STARTS = {"the same, elastic 1-4 levels": 200, "the same, 5 min lost at each resume": 300}


def judge(series: Hourly, setting: Setting, starts: int | None) -> dict[str, Any]:
    grid = prepare(series, setting)
    chosen = releases(grid, setting, starts)
    outcomes = run_all(grid, setting, chosen, lambda: None)
    bounds = [bound(grid, setting, start) for start in chosen]
    repeated = repeated_hours(series.values)
    fresh = [
        index
        for index, start in enumerate(chosen)
        if not repeated[start : start + setting.window].any()
    ]
    found = {"num_jobs": len(chosen), "policies": summarise(outcomes, bounds)}
    if fresh:
        found["without_repeated_days"] = {
            "num_jobs": len(fresh),
            "policies": summarise([outcomes[i] for i in fresh], [bounds[i] for i in fresh]),
        }
    return found


def repeated_hours(values: np.ndarray) -> np.ndarray:
    """Hours within a stretch of a day or more that repeats the day before to the last digit.

    No grid does that: the source has filled a gap, and "as yesterday" is right there by chance.
    """
    same = np.zeros(len(values))
    same[DAY:] = values[DAY:] == values[:-DAY]
    begins = np.convolve(same, np.ones(DAY), "valid") == DAY
    return np.asarray(np.convolve(begins, np.ones(DAY)) > 0)


def averages(traces: dict[str, Any], figure: str, pick: Any = mean) -> dict[str, float]:
    return {
        name: pick([trace["policies"][name][figure] for trace in traces.values()])
        for name in POLICIES
    }


def forecast_ratios(scores: dict[str, Any]) -> dict[str, float]:
    """MAE by hours ahead, in units of the same hour yesterday's; mean over the traces."""
    first = next(iter(scores.values()))["horizons"]
    return {
        ahead: mean(
            trace["horizons"][ahead]["mae"] / trace["horizons"][ahead]["mae_seasonal_naive"]
            for trace in scores.values()
        )
        for ahead in first
    }


def main(
    traces: Annotated[Path, typer.Option(help="A folder of traces.")] = Path(
        "../shared/data/carbon"
    ),
    quick: Annotated[bool, typer.Option(help=f"{QUICK_STARTS} jobs a trace.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Backtest every trace in every setting, and score the forecasts."""
    files = sorted(traces.glob("*.csv*"))
    if not files:
        raise SystemExit(f"no traces in {traces}: give a folder with --traces")
    found: dict[str, dict[str, Any]] = {name: {} for name in SETTINGS}
    scores: dict[str, Any] = {}
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("planner", total=len(files) * len(SETTINGS))
        for file in files:
            name = file.name.split(".")[0]
            series = TraceSource(file, name).hours()
            scores[name] = evaluate_forecasts(series)
            for title, setting in SETTINGS.items():
                starts = QUICK_STARTS if quick else FULL_STARTS.get(title)
                found[title][name] = judge(series, setting, starts)
                bar.advance(task)
    fresh = {
        name: trace["without_repeated_days"]
        for name, trace in found[MAIN].items()
        if "without_repeated_days" in trace
    }
    result = {
        "traces": found[MAIN],
        "mean": averages(found[MAIN], "ratio_to_oracle"),
        "mean_without_repeated_days": averages(fresh, "ratio_to_oracle") if fresh else None,
        "settings": {
            title: {
                "mean_ratio_to_oracle": averages(by_trace, "ratio_to_oracle"),
                "worst_ratio_to_oracle": averages(by_trace, "ratio_to_oracle", min),
                "mean_worse_than_run_now": averages(by_trace, "worse_than_run_now"),
                "worst_excess": averages(by_trace, "worst_excess", max),
                "deadline_misses": averages(by_trace, "deadline_misses", sum),
                "num_jobs": sum(trace["num_jobs"] for trace in by_trace.values()),
                "traces": by_trace,
            }
            for title, by_trace in found.items()
        },
        "forecast": {"mae_ratio": forecast_ratios(scores), "traces": scores},
        **circumstances(num_repeats=1),
    }
    publish("planner", result, _table(result), as_json)


def _table(result: dict[str, Any]) -> Table:
    title = "share of what pausing with perfect foresight saves, mean over traces (worst)"
    table = Table("policy", *result["settings"], title=title)
    found = list(result["settings"].values())
    for policy in POLICIES[1:]:
        table.add_row(
            policy,
            *(
                f"{one['mean_ratio_to_oracle'][policy]:.2f} "
                f"({one['worst_ratio_to_oracle'][policy]:.2f})"
                for one in found
            ),
        )
    worse = [f"{one['mean_worse_than_run_now']['lowtide']:.1%}" for one in found]
    table.add_row("lowtide: worse than run-now", *worse)
    table.add_row("jobs", *(str(one["num_jobs"]) for one in found))
    ahead = ", ".join(f"{h} h {r:.2f}" for h, r in result["forecast"]["mae_ratio"].items())
    fresh = _fresh_text(result["mean_without_repeated_days"])
    table.caption = f"{fresh}forecast MAE / MAE of the same hour yesterday: {ahead}"
    return table


def _fresh_text(fresh: dict[str, float] | None) -> str:
    if fresh is None:
        return ""
    return (
        f"{MAIN}, without days that repeat the one before: lowtide {fresh['lowtide']:.2f}, "
        f"seasonal-naive {fresh['seasonal-naive']:.2f}; "
    )


if __name__ == "__main__":
    typer.run(main)
