"""Commands that judge forecast and planner on a recorded trace: backtest and forecast-eval."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowtide.cli.app import PARAMS, Json, ParamsFile, app, show
from lowtide.errors import CarbonError, UsageError

if TYPE_CHECKING:
    from lowtide.carbon.forecast.hourly import Hourly
    from lowtide.planning.profile import Level

TraceFile = Annotated[Path, typer.Option(help="CSV, .csv.gz or parquet with timestamp_utc.")]


@app.command()
def backtest(
    trace: TraceFile,
    work_hours: Annotated[float, typer.Option(min=0.01, help="Hours at full power.")],
    slack_hours: Annotated[float, typer.Option(min=0, help="Hours to spare.")],
    starts: Annotated[
        int | None, typer.Option(min=1, help="Jobs; default: one every 7 hours.")
    ] = None,
    contiguous: Annotated[bool, typer.Option(help="Start later, but never pause.")] = False,
    resume_minutes: Annotated[
        float, typer.Option(min=0, help="Full-power work lost at each resume.")
    ] = 0.0,
    idle_power: Annotated[
        float, typer.Option(min=0, max=1, help="Drawn while parked, in units of full power.")
    ] = 0.0,
    levels: Annotated[
        str, typer.Option(help="POWER:THROUGHPUT, comma-separated: 1:1,2:1.9,3:2.7.")
    ] = "1:1",
    plot: Annotated[Path | None, typer.Option(help="Write a chart here, .svg or .png.")] = None,
    as_json: Json = False,
) -> None:
    """Policies side by side over the second half of a trace; each sees only what lies before."""
    from lowtide.planning.backtest import Setting, bound, prepare, releases, run_all, summarise
    from lowtide.planning.profile import WorkProfile

    profile = WorkProfile(_levels(levels), resume_minutes / 60, idle_power)
    setting = Setting(work_hours, slack_hours, profile, contiguous)
    if setting.window * profile.fastest < work_hours or not profile.has_full:
        raise UsageError("the work does not fit, or --levels has no level of power 1 to run now at")
    grid = prepare(_series(trace), setting)
    chosen = releases(grid, setting, starts)
    if not chosen:
        raise CarbonError(
            f"{trace} has no stretch of {setting.window} h without a gap in its second half: "
            "take a longer trace or a smaller job"
        )
    with _progress(f"backtest {trace.name}", len(chosen)) as tell:
        outcomes = run_all(grid, setting, chosen, tell)
    policies = summarise(outcomes, [bound(grid, setting, start) for start in chosen])
    content = {"trace": trace.name, "num_jobs": len(chosen), "policies": policies}
    if plot is not None:
        from lowtide.planning.chart import backtest_figure

        backtest_figure(outcomes, plot)
    show(content, as_json, _table(policies, len(chosen)))


@app.command("forecast-eval")
def forecast_eval(
    trace: Annotated[Path | None, typer.Option(help="Score over a trace's second half.")] = None,
    issued: Annotated[
        bool, typer.Option("--issued", help="Score the forecasts issued here so far.")
    ] = False,
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """How good the forecasts are, out of sample, against the same hour a day before."""
    if (trace is None) == (not issued):
        raise UsageError("give either --trace FILE, or --issued for the forecasts made here")
    if trace is None:
        _score_issued(params, as_json)
        return
    from lowtide.carbon.forecast.evaluate import evaluate_forecasts

    content = {"trace": trace.name, **evaluate_forecasts(_series(trace))}
    lines = [
        f"{ahead:>3} h ahead: MAE {score['mae']:.1f} g/kWh, same hour yesterday "
        f"{score['mae_seasonal_naive']:.1f}, MAPE {score['mape']:.1%}, "
        f"80 % band holds {score['coverage_80']:.0%}"
        for ahead, score in content["horizons"].items()
    ]
    show(content, as_json, "\n".join(lines))


def _score_issued(params: Path, as_json: bool) -> None:
    from datetime import UTC, datetime

    from lowtide.carbon.forecast.issued import NAME, IssuedFile
    from lowtide.carbon.sources import FOLDER, open_source
    from lowtide.params import load_params

    carbon = load_params(params).carbon
    issued = IssuedFile(FOLDER / NAME)
    since = issued.first_start(carbon.zone)
    past = open_source(carbon).history(since, datetime.now(UTC)) if since else []
    scores = issued.score(carbon.zone, past)
    lines = [
        f"{row['source']}, {row['hours_ahead']:>3} h ahead: MAE {row['mae']:.1f} g/kWh over "
        f"{row['num']}"
        for row in scores
    ]
    nothing = f"no forecast for {carbon.zone} has been issued here that is over by now"
    show({"zone": carbon.zone, "scores": scores}, as_json, "\n".join(lines) or nothing)


def _levels(text: str) -> "tuple[Level, ...]":
    from lowtide.planning.profile import Level

    try:
        pairs = [item.split(":") for item in text.split(",")]
        return tuple(Level(float(p), float(t), float(p)) for p, t in pairs)
    except ValueError:
        raise UsageError(
            f"--levels {text!r} is no list of POWER:THROUGHPUT above 0, like 1:1,2:1.9"
        ) from None


def _series(trace: Path) -> "Hourly":
    from lowtide.carbon.trace import TraceSource

    return TraceSource(trace, trace.name.split(".")[0]).hours()


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    import sys

    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr)
    with Progress(console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def _table(policies: dict[str, dict[str, Any]], num_jobs: int) -> str:
    head = f"{'policy':<18}{'saving':>8}{'5-95 %':>16}{'of oracle':>11}{'worse':>8}{'switches':>10}"
    rows = [
        f"{name:<18}{row['saving']:>8.1%}{_range(row):>16}{row['ratio_to_oracle']:>11.2f}"
        f"{row['worse_than_run_now']:>8.1%}{row['switches']:>10.1f}"
        for name, row in policies.items()
    ]
    return "\n".join([head, *rows, f"{num_jobs} jobs, deadline misses: "
                      f"{sum(row['deadline_misses'] for row in policies.values())}"])  # fmt: skip


def _range(row: dict[str, Any]) -> str:
    return f"{row['saving_p05']:.0%} to {row['saving_p95']:.0%}"
