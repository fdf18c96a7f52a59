"""The console script: `lowtide --help`. Heavy modules are imported inside the commands."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from lowtide.errors import LowtideError, UsageError

app = typer.Typer(
    help="Train at the low tide of the grid's carbon intensity.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ParamsFile = Annotated[Path, typer.Option("--params", help="The params file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
PARAMS = Path("params.yaml")


def main() -> None:
    """Run the command; an error is one line on stderr, never a traceback."""
    try:
        app()
    except LowtideError as error:
        print(f"lowtide: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("lowtide: interrupted; the same command goes on from the last checkpoint",
              file=sys.stderr)  # fmt: skip
        sys.exit(130)


def _print(content: Mapping[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(content, allow_nan=False) if as_json else text)


@app.command()
def stage(
    name: Annotated[str, typer.Argument(help="prepare, train, distill, prune, ... judge")],
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Run one stage of the pipeline; what dvc.yaml calls."""
    from lowtide.stages.run import run_stage
    from lowtide.training.pacing import DEFERRED_EXIT_CODE, Deferred

    try:
        report = run_stage(name, params)
    except Deferred as deferred:
        print(f"lowtide: {name} is {deferred}; its checkpoint is kept", file=sys.stderr)
        sys.exit(DEFERRED_EXIT_CODE)
    from lowtide.report.text import stage_line

    _print(report, as_json, stage_line(report))


@app.command()
def intensity(
    zone: Annotated[str | None, typer.Option(help="Grid zone, for example US-CISO.")] = None,
    trace: Annotated[str | None, typer.Option(help="A trace file, or `packaged`.")] = None,
    at: Annotated[str | None, typer.Option(help="ISO 8601 instant; default: now.")] = None,
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """The grid's carbon intensity now, or at an instant of a trace."""
    source, instant = _grid(zone, trace, at, params)
    value = source.current(instant)
    content = {
        "zone": value.zone,
        "at": _iso(instant),
        "intensity_g_per_kwh": value.intensity_g_per_kwh,
        "source": value.source,
        "kind": value.kind,
        "status": value.status,
    }
    text = (
        f"{value.zone}: {value.intensity_g_per_kwh:.0f} gCO2e/kWh at {_iso(instant)} "
        f"({value.kind}, {value.status}, {value.source})"
    )
    _print(content, as_json, text)


@app.command()
def plan(
    work_hours: Annotated[float, typer.Option(min=0, help="Hours of work at full power.")],
    deadline_hours: Annotated[float, typer.Option(min=0, help="Hours until it has to be done.")],
    zone: Annotated[str | None, typer.Option(help="Grid zone.")] = None,
    trace: Annotated[str | None, typer.Option(help="A trace file, or `packaged`.")] = None,
    at: Annotated[str | None, typer.Option(help="ISO 8601 instant; default: now.")] = None,
    contiguous: Annotated[bool, typer.Option(help="Start later, but never pause.")] = False,
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """When to run: the hours that emit least and still meet the deadline."""
    from lowtide.params import load_params
    from lowtide.planning.chart import plan_text
    from lowtide.planning.plan import plan_work

    schedule = load_params(params).schedule
    source, now = _grid(zone, trace, at, params)
    forecast = source.forecast(now, deadline_hours)
    planned = plan_work(
        forecast,
        now=now,
        work_hours=work_hours,
        deadline=now + timedelta(hours=deadline_hours),
        slot_minutes=schedule.slot_minutes,
        resume_minutes=schedule.resume_minutes,
        contiguous=contiguous,
    )
    _print(planned.to_json(), as_json, plan_text(planned, forecast))


@app.command()
def judge(as_json: Json = False, params: ParamsFile = PARAMS) -> None:
    """The verdict from the reports on disk, under the budgets in params.yaml; 3 if refused."""
    from lowtide.evaluation.judge import from_reports
    from lowtide.evaluation.judge import judge as decide
    from lowtide.params import load_params
    from lowtide.pipeline import read_reports
    from lowtide.report.text import verdict_text

    reports = read_reports()
    missing = [name for name in ("train", "distill", "prune", "quantize", "evaluate")
               if name not in reports]  # fmt: skip
    if missing:
        raise UsageError(f"no report of {', '.join(missing)} in reports/: run `dvc repro` first")
    verdict = decide(from_reports(reports), load_params(params).budgets)
    _print(verdict.to_json(), as_json, verdict_text(verdict.to_json()))
    if not verdict.passed:
        sys.exit(3)


@app.command()
def report(as_json: Json = False, params: ParamsFile = PARAMS) -> None:
    """Write reports/passport.html and reports/passport.json from the reports on disk."""
    from lowtide.params import load_params
    from lowtide.report.passport import write_passport

    written = write_passport(load_params(params))
    _print(written, as_json, f"wrote {written['html']} and {written['json']}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model that lowtide exported.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    as_json: Json = False,
) -> None:
    """Classify images with an exported model, and estimate the joules of one inference."""
    from lowtide.evaluation.predict import predict_files

    content = predict_files(model, images)
    lines = [f"{p['path']}: {p['label']} ({p['probability']:.2f})" for p in content["predictions"]]
    joules = content["energy_j_per_inference"]
    lines.append("energy unknown" if joules is None else f"{joules:.3g} J an inference"
                 f" ({content['provenance']})")  # fmt: skip
    _print(content, as_json, "\n".join(lines))


@app.command()
def doctor(as_json: Json = False, params: ParamsFile = PARAMS) -> None:
    """Check this machine and checkout, and say how to mend what is wrong."""
    from lowtide.doctor import check_all
    from lowtide.report.text import doctor_text

    checks = check_all(params)
    _print({"checks": checks}, as_json, doctor_text(checks))
    if not all(check["ok"] for check in checks):
        sys.exit(1)


def _grid(zone: str | None, trace: str | None, at: str | None, params_file: Path) -> Any:
    """(source, instant) from the options, and from params.yaml where they are silent."""
    from lowtide.carbon.sources import open_source
    from lowtide.params import load_params

    carbon = load_params(params_file).carbon
    changes: dict[str, Any] = {}
    if zone is not None and zone != carbon.zone:
        changes = {"zone": zone, "source": "typical", "replay_start": None}
    if trace is not None:
        changes |= {"trace": trace, "source": "trace", "replay_start": None}
    carbon = carbon.model_copy(update=changes)
    instant = _instant(at) if at else carbon.replay_start or datetime.now(UTC)
    return open_source(carbon), instant


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at {text!r} is no ISO 8601 instant, like 2022-04-14T03:00Z") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
