"""`lowtide place`: which site serves how much of the demand, for the least emissions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowtide.cli.app import Json, app, instant, iso, require_folder, show
from lowtide.errors import UsageError

if TYPE_CHECKING:
    from lowtide.placement.sites import Sites

REPLAY_COLUMNS = (
    "gCO2e", "less than equal split", "than least latency", "p95 ms, worst group", "p95 ms, mean",
    "over limit",
)  # fmt: skip


@app.command()
def place(
    sites: Annotated[Path, typer.Option(help="The sites file; see docs/placement.md.")],
    at: Annotated[str | None, typer.Option(help="ISO 8601 instant; default: now.")] = None,
    nginx: Annotated[Path | None, typer.Option(help="Write nginx upstreams here.")] = None,
    kubernetes: Annotated[Path | None, typer.Option(help="Write an HTTPRoute here.")] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="The 24 hours from --at, against other policies.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Shares by site for the demand of an hour: least gCO2e within capacity and latency."""
    from lowtide.placement.sites import load_sites

    found, moment = load_sites(sites), instant(at) if at else None
    require_folder("--nginx", nginx)
    require_folder("--kubernetes", kubernetes)
    if replay:
        if moment is None or nginx is not None or kubernetes is not None:
            raise UsageError("--replay needs --at T, where the day begins, and writes no files")
        _replay(found, moment, as_json)
        return
    _place(found, moment, nginx, kubernetes, as_json)


def _place(
    found: "Sites", at: datetime | None, nginx: Path | None, kubernetes: Path | None, as_json: bool
) -> None:
    from lowtide.artifacts import write_text
    from lowtide.placement.intensity import open_grids, read_intensity
    from lowtide.placement.kubernetes import http_route
    from lowtide.placement.nginx import upstreams
    from lowtide.placement.plan import Plan, describe
    from lowtide.placement.problem import pose
    from lowtide.placement.solve import solve

    moment = at or datetime.now(UTC)
    known = read_intensity(found, open_grids(found, at), moment)
    placement = solve(pose(known.sites, moment, known.g_per_kwh))
    plan = Plan.of(placement)
    written = [
        (path, render(plan, found))
        for path, render in ((nginx, upstreams), (kubernetes, http_route))
        if path is not None
    ]
    for path, text in written:
        write_text(path, text)
    content = {"at": iso(moment), **describe(placement, known)}
    show(content, as_json, "" if as_json else _text(content))
    for path, _ in written:
        typer.echo(f"{path} is written", err=True)


def _text(content: Mapping[str, Any]) -> str:
    from rich.table import Table

    table = Table(box=None)
    table.add_column("site")
    for column in ("share", "requests/s", "of", "g/kWh"):
        table.add_column(column, justify="right")
    for one in content["shares"]:
        table.add_row(
            one["site"] if one["open"] else f"{one['site']} (closed)",
            f"{one['share']:.1%}",
            f"{one['requests_per_s']:.1f}",
            f"{one['capacity_per_s']:.1f}",
            f"{one['intensity_g_per_kwh']:.0f}",
        )
    saving = content["saving_vs_equal_split"]
    lines = [
        _drawn(table),
        f"{content['emissions_g_per_hour']:.4g} gCO2e/h at {content['at']}; an equal split "
        f"{content['emissions_g_per_hour_equal_split']:.4g}"
        + ("" if saving is None else f", so {saving:.1%} less"),
        f"intensity: {'; '.join(dict.fromkeys(one['source'] for one in content['shares']))}",
        *_left_out(content),
    ]
    return "\n".join(lines)


def _left_out(content: Mapping[str, Any]) -> list[str]:
    return [f"{name} is left out: {why}" for name, why in content["left_out"].items()]


def _drawn(table: Any) -> str:
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else 120)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()


def _replay(found: "Sites", start: datetime, as_json: bool) -> None:
    from lowtide.placement.replay import replay_day

    content = {"at": iso(start), **replay_day(found, start)}
    show(content, as_json, "" if as_json else _replay_text(content))


def _replay_text(content: Mapping[str, Any]) -> str:
    from rich.table import Table

    table = Table(box=None)
    table.add_column("policy")
    for column in REPLAY_COLUMNS:
        table.add_column(column, justify="right")
    for name, one in content["policies"].items():
        table.add_row(
            name,
            f"{one['emissions_g']:.4g}",
            f"{one['saving_vs_equal_split']:.1%}",
            f"{one['saving_vs_least_latency']:.1%}",
            f"{one['latency_ms_p95_max']:.0f}",
            f"{one['latency_ms_p95_mean']:.0f}",
            f"{one['share_over_limit']:.1%}",
        )
    lines = [
        _drawn(table),
        f"{content['num_hours']} hours from {content['at']}, shares chosen by what the grid was "
        f"{content['lag_hours']:g} h before",
        *_left_out(content),
    ]
    return "\n".join(lines)
