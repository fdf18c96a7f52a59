"""The end of a run in the terminal: a table, the verdict, and where to look next."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from rich.console import Console
from rich.table import Table

from lowtide import artifacts
from lowtide.pipeline import read_reports, total, training_provenance
from lowtide.registry import RegisteredVersion
from lowtide.report.techniques import technique_lines
from lowtide.report.text import number


@task(name="summary", cache_policy=NO_CACHE)
def print_summary(stale: Sequence[str], version: RegisteredVersion) -> None:
    reports = read_reports()
    table = Table("stage", "", "accuracy", "energy", "emissions", "if run at once")
    for name, report in reports.items():
        accuracy = report.get("accuracy")
        table.add_row(
            name,
            "run" if name in stale else "cached",
            "" if accuracy is None else f"{accuracy:.4f} {report['accuracy_split']}",
            number(report["energy_kwh"], "kWh"),
            number(report["emissions_g"], "g"),
            number(report["run_now_emissions_g"], "g"),
        )
    console = Console(width=100)
    console.print(table)
    provenance = training_provenance(reports)
    console.print(
        f"training: {number(total(reports, 'emissions_g'), 'g CO2e')} against "
        f"{number(total(reports, 'run_now_emissions_g'), 'g')} if run at once "
        f"({provenance['energy']} energy, {provenance['clock']} clock)"
    )
    for line in technique_lines(reports):
        console.print(line)
    passed = artifacts.read_json(artifacts.VERDICT)["passed"]
    console.print(f"verdict: {'passed' if passed else 'REFUSED'}; {version.outcome}")
    console.print("next: reports/passport.html, `make ui`, `lowtide judge`, `dvc repro`")
