"""Commands about the grid: intensity, forecast and plan."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from lowtide.cli.app import PARAMS, Json, ParamsFile, app, instant, iso, show


@app.command()
def intensity(
    zone: Annotated[str | None, typer.Option(help="Grid zone, for example US-CISO.")] = None,
    trace: Annotated[str | None, typer.Option(help="A trace file, or `packaged`.")] = None,
    at: Annotated[str | None, typer.Option(help="ISO 8601 instant; default: now.")] = None,
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """The grid's carbon intensity now, or at an instant of a trace."""
    source, moment = _grid(zone, trace, at, params)
    value = source.current(moment)
    content = {
        "zone": value.zone,
        "at": iso(moment),
        "intensity_g_per_kwh": value.intensity_g_per_kwh,
        "source": value.source,
        "kind": value.kind,
        "status": value.status,
        "basis": value.basis,
        "rung": value.rung,
    }
    text = (
        f"{value.zone}: {value.intensity_g_per_kwh:.0f} gCO2e/kWh at {iso(moment)} "
        f"({value.kind}, {value.status}, {value.source})"
    )
    show(content, as_json, text)


@app.command()
def forecast(
    hours: Annotated[float, typer.Option(min=0.1, max=384, help="How far ahead.")],
    zone: Annotated[str | None, typer.Option(help="Grid zone.")] = None,
    trace: Annotated[str | None, typer.Option(help="A trace file, or `packaged`.")] = None,
    at: Annotated[str | None, typer.Option(help="ISO 8601 instant; default: now.")] = None,
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """The carbon intensity to come, with 80 % bands."""
    source, now = _grid(zone, trace, at, params)
    values = source.forecast(now, hours)
    content = {
        "zone": source.zone,
        "issued_at": iso(now),
        "source": values[0].source,
        "kind": values[0].kind,
        "values": [
            {
                "start": iso(value.start),
                "end": iso(value.end),
                "intensity_g_per_kwh": value.intensity_g_per_kwh,
                "low": value.low,
                "high": value.high,
                "rung": value.rung,
            }
            for value in values
        ],
    }
    lines = [
        f"{value.start:%d %b %H:%M}  {value.intensity_g_per_kwh:5.0f} g/kWh{_band(value)}"
        for value in values
    ]
    show(content, as_json, "\n".join([*lines, values[0].source]))


@app.command()
def plan(
    work_hours: Annotated[float, typer.Option(min=0, help="Hours of work at full power.")],
    deadline_hours: Annotated[float, typer.Option(min=0, help="Hours until it has to be done.")],
    zone: Annotated[str | None, typer.Option(help="Grid zone.")] = None,
    trace: Annotated[str | None, typer.Option(help="A trace file, or `packaged`.")] = None,
    at: Annotated[str | None, typer.Option(help="ISO 8601 instant; default: now.")] = None,
    contiguous: Annotated[bool, typer.Option(help="Start later, but never pause.")] = False,
    max_level: Annotated[
        float | None, typer.Option(min=0, help="Highest of schedule.levels to use.")
    ] = None,
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """When to run: the hours that emit least and still meet the deadline."""
    from lowtide.planning.chart import plan_text
    from lowtide.planning.plan import plan_work
    from lowtide.planning.profile import WorkProfile
    from lowtide.running.setting import schedule_params

    source, now = _grid(zone, trace, at, params)
    schedule = schedule_params(params, PARAMS)
    values = source.forecast(now, deadline_hours)
    planned = plan_work(
        values,
        now=now,
        work_hours=work_hours,
        deadline=now + timedelta(hours=deadline_hours),
        slot_minutes=schedule.slot_minutes,
        profile=WorkProfile.of(schedule, max_level),
        contiguous=contiguous,
    )
    content = {**planned.to_json(), "zone": source.zone, "source": values[0].source}
    show(content, as_json, plan_text(planned))


def _band(value: Any) -> str:
    return "" if value.low is None else f"  {value.low:.0f} to {value.high:.0f}"


def _grid(zone: str | None, trace: str | None, at: str | None, params_file: Path) -> Any:
    """(source, instant) from the options, and from params.yaml where they are silent."""
    from lowtide.carbon.sources import open_source
    from lowtide.running.setting import GridOptions, grid_params

    moment = instant(at) if at else None
    carbon = grid_params(params_file, PARAMS, GridOptions(zone, trace, moment, None))
    if moment is None:
        moment = carbon.replay_start or datetime.now(UTC)
        if carbon.replay_start is not None:
            print(f"lowtide: {params_file} replays: now is {iso(moment)}", file=sys.stderr)
    return open_source(carbon), moment
