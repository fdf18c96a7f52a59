"""What the ledger knows of its runs, for other programs: JSON, or CodeCarbon's CSV."""

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, TextIO

from lowtide.energy.ledger import Interval, Ledger, LedgerRun
from lowtide.energy.process_tree import SHARE
from lowtide.energy.sources import KWH_IN_J, kind
from lowtide.energy.totals import Totals
from lowtide.errors import UsageError

KINDS = ("cpu", "gpu", "ram")  # that CodeCarbon has columns for


def summary(run: LedgerRun, totals: Totals) -> dict[str, Any]:
    """A run's sums; what is unknown is None. `duration_s` is metered time of the wall.

    `unresolved` names components metered for less time than one update of their source takes.
    """
    return {
        "run_id": run.run_id,
        "stage": run.stage,
        "started_at": _iso(run.started_at),
        "ended_at": _iso(run.ended_at),
        "duration_s": totals.duration_s,
        "energy_kwh": totals.energy_kwh,
        "emissions_g": totals.emissions_g,
        "mean_intensity_g_per_kwh": totals.mean_intensity_g_per_kwh,
        "provenance": totals.provenance,
        "unresolved": totals.unresolved,
        "components": {name: asdict(part) for name, part in totals.components.items()},
    }


def write_json(ledger: Ledger, runs: Iterable[LedgerRun], file: TextIO) -> None:
    """One object, a row a line: {"runs": [{..., "intervals": [{...}, ...]}, ...]}."""
    file.write('{"runs": [')
    for number, run in enumerate(runs):
        head = json.dumps(summary(run, ledger.totals(run.run_id)), allow_nan=False)
        file.write(f'{"," if number else ""}\n{head[:-1]}, "intervals": [')
        for index, interval in enumerate(ledger.each_interval(run.run_id)):
            row = json.dumps(_row(interval), allow_nan=False)
            file.write(f"{',' if index else ''}\n{row}")
        file.write("\n]}")
    file.write("\n]}\n")


def write_csv(ledger: Ledger, runs: Iterable[LedgerRun], file: TextIO) -> None:
    """A line per run under the header of CodeCarbon's emissions.csv; unknown values are empty.

    Raises:
        UsageError: CodeCarbon is not installed.
    """
    writer = csv.DictWriter(file, codecarbon_columns(), lineterminator="\n")
    writer.writeheader()
    for run in runs:
        writer.writerow(emissions_row(run, ledger))


def codecarbon_columns() -> list[str]:
    """Those of the installed version, in its order."""
    try:
        from codecarbon.output_methods.emissions_data import EmissionsData
    except ImportError:
        raise UsageError(
            "the columns are CodeCarbon's, which is not installed: pip install codecarbon, or take "
            "--format json"
        ) from None
    return [column.name for column in fields(EmissionsData)]


def emissions_row(run: LedgerRun, ledger: Ledger) -> dict[str, Any]:
    """A run in CodeCarbon's terms: kWh and watts with the PUE in them, kg of CO2e, seconds.

    The project is the stage; the timestamp is the clock's UTC at the end of the run.
    """
    totals = ledger.totals(run.run_id)
    parts = ledger.energy_by_pue(run.run_id)
    pues = {pue for _, pue, _ in parts}
    kg = None if totals.emissions_g is None else totals.emissions_g / 1000
    row: dict[str, Any] = {
        "timestamp": run.ended_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "project_name": run.stage,
        "run_id": run.run_id,
        "duration": totals.duration_s,
        "emissions": kg,
        "emissions_rate": _over(kg, totals.duration_s),
        "energy_consumed": _kwh((joules, pue) for _, pue, joules in parts),
        "codecarbon_version": _codecarbon_version(totals),
        "tracking_mode": _tracking_mode(totals),
        "pue": pues.pop() if len(pues) == 1 else None,
    }
    for name in KINDS:
        kwh = _kwh((joules, pue) for component, pue, joules in parts if kind(component) == name)
        row[f"{name}_energy"] = kwh
        row[f"{name}_power"] = _over(None if kwh is None else kwh * KWH_IN_J, totals.duration_s)
    return row


def _kwh(parts: Iterable[tuple[float | None, float]]) -> float | None:
    """Joules times PUE, added up; None where some are unknown, or there is nothing to add."""
    found = list(parts)
    if not found or any(joules is None for joules, _ in found):
        return None
    return sum((joules or 0.0) * pue for joules, pue in found) / KWH_IN_J


def _over(amount: float | None, seconds: float) -> float | None:
    return None if amount is None or seconds <= 0 else amount / seconds


def _tracking_mode(totals: Totals) -> str:
    """CodeCarbon's word for whether CPU and RAM are of the whole machine."""
    shared = any(part.source.endswith(SHARE) for part in totals.components.values())
    return "process" if shared else "machine"


def _codecarbon_version(totals: Totals) -> str | None:
    """Of the one that estimated, if one did."""
    sources = (part.source for part in totals.components.values())
    found = (re.match(r"codecarbon ([^\s,]+)", source) for source in sources)
    return next((match[1] for match in found if match), None)


def _row(interval: Interval) -> dict[str, Any]:
    content = asdict(interval)
    del content["run_id"]  # said once, of the run
    return {
        key: _iso(value) if isinstance(value, datetime) else value for key, value in content.items()
    }


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
