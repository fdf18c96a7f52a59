"""`lowtide ledger`: the runs that were metered here, and how to take them elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowtide.artifacts import LEDGER, atomic
from lowtide.cli.app import Json, app, show
from lowtide.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from lowtide.energy.ledger import Ledger, LedgerRun
    from lowtide.energy.sci import Sci
    from lowtide.energy.totals import Totals

group = typer.Typer()
app.add_typer(group, name="ledger")

RunId = Annotated[str | None, typer.Option("--run", metavar="ID", help="This run alone.")]
LedgerFile = Annotated[Path, typer.Option("--ledger", help="The ledger's file.")]


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"


@group.callback(invoke_without_command=True)
def ledger(
    context: typer.Context,
    run: RunId = None,
    embodied_kg: Annotated[
        float | None, typer.Option(help="CO2e of making the machine; with --run: the SCI.")
    ] = None,
    lifespan_years: Annotated[
        float | None, typer.Option(help="How long the machine is expected to be in use.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Of the machine that the run had; default: 1, all of it.")
    ] = None,
    per: Annotated[
        float | None, typer.Option(help="Functional units that the run did; default: 1, itself.")
    ] = None,
    file: LedgerFile = LEDGER,
    as_json: Json = False,
) -> None:
    """The metered runs with their kWh and grams; `export` writes them as JSON or CSV."""
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    from lowtide.energy.export import summary

    with _opened(file) as opened:
        found = [(one, opened.totals(one.run_id)) for one in _chosen(opened, run, file)]
    rows = [summary(one, totals) for one, totals in found]
    lines = [_table(rows)]
    if run is not None:
        lines += _details(found[0][1])
    if any(option is not None for option in (embodied_kg, lifespan_years, share, per)):
        if run is None or embodied_kg is None or lifespan_years is None:
            raise UsageError("the SCI needs --run, --embodied-kg and --lifespan-years")
        sci = _sci(found[0][1], embodied_kg, lifespan_years, share, per)
        rows[0]["sci"] = sci.to_json()
        lines.append(_sci_text(sci))
    show({"runs": rows}, as_json, "\n".join(lines))


@group.command()
def export(
    format_: Annotated[
        Format, typer.Option("--format", help="All rows, or CodeCarbon's columns, a line per run.")
    ] = Format.JSON,
    run: RunId = None,
    output: Annotated[Path | None, typer.Option(help="A file; default: stdout.")] = None,
    file: LedgerFile = LEDGER,
    as_json: Json = False,
) -> None:
    """Everything the ledger knows as JSON, or CSV for what reads CodeCarbon's emissions.csv."""
    from lowtide.energy.export import write_csv, write_json

    if as_json and output is None and format_ is Format.CSV:
        raise UsageError("--json and CSV cannot share stdout: give --output FILE")
    write = {Format.JSON: write_json, Format.CSV: write_csv}[format_]
    with _opened(file) as opened:
        runs = _chosen(opened, run, file)
        if output is None:
            write(opened, runs, sys.stdout)
            return
        with atomic(output) as temporary, temporary.open("w", encoding="utf-8") as written:
            write(opened, runs, written)
    content = {"path": str(output), "format": str(format_), "num_runs": len(runs)}
    show(content, as_json, f"wrote {output}: {_counted(len(runs))}")


def _refuse_options(context: typer.Context) -> None:
    """Those of the list would be silently without effect on its subcommand."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"options go behind `lowtide ledger {context.invoked_subcommand}`")


@contextmanager
def _opened(file: Path) -> "Iterator[Ledger]":
    """As of one instant, however long it is read."""
    from lowtide.energy.ledger import Ledger

    if not file.exists():
        raise ArtifactError(
            f"there is no energy ledger at {file}: what lowtide meters here makes one, like "
            "`lowtide meter -- COMMAND`, or name another with --ledger"
        )
    with Ledger(file) as opened, opened.snapshot():
        yield opened


def _chosen(opened: "Ledger", run_id: str | None, file: Path) -> "list[LedgerRun]":
    runs = [run for run in opened.runs() if run_id in (None, run.run_id)]
    if run_id is not None and not runs:
        raise UsageError(f"{file} knows no run {run_id!r}: `lowtide ledger` lists those it knows")
    return runs


def _sci(
    totals: "Totals", embodied_kg: float, years: float, share: float | None, per: float | None
) -> "Sci":
    from lowtide.energy.sci import Hardware, Sci

    hardware = Hardware(embodied_kg, years, 1.0 if share is None else share)
    embodied_g = hardware.embodied_g(totals.duration_s)
    return Sci(totals.emissions_g, embodied_g, 1.0 if per is None else per)


def _table(rows: list[dict[str, Any]]) -> str:
    width = max([len(row["run_id"]) for row in rows], default=0)
    head = f"{'run':<{width}}  {'stage':<10}{'from (UTC)':<21}{'to (UTC)':<21}{'kWh':>10}{'g':>10}"
    lines = [
        f"{row['run_id']:<{width}}  {row['stage']:<10}{_at(row['started_at']):<21}"
        f"{_at(row['ended_at']):<21}{_figure(row['energy_kwh']):>10}"
        f"{_figure(row['emissions_g']):>10}"
        for row in rows
    ]
    return "\n".join([head, *lines, _counted(len(rows))])


def _details(totals: "Totals") -> list[str]:
    lines = [
        f"{name}: {_figure(part.energy_kwh)} kWh ({part.provenance}, {part.source})"
        for name, part in totals.components.items()
    ]
    if totals.unresolved:
        lines.append(
            f"not resolved: {totals.duration_s:.3f} s is less than the time between two updates of "
            f"{' and '.join(totals.unresolved)}"
        )
    return lines


def _sci_text(sci: "Sci") -> str:
    return (
        f"operational {_figure(sci.operational_g)} g, embodied {_figure(sci.embodied_g)} g, "
        f"SCI {_figure(sci.g_per_unit)} g CO2e for each of {sci.num_units:g}"
    )


def _at(instant: str) -> str:
    return instant[:19].replace("T", " ")


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _counted(number: int) -> str:
    return "1 run" if number == 1 else f"{number} runs"
