"""How long a run's totals take out of a ledger of ten million rows, one of its runs a long one.

The rows go through the ledger's own tables and triggers, in large transactions: those of the long
run between those of the others, as they would come from processes side by side.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil, isclose
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.publish import circumstances, publish
from lowtide.energy.ledger import Interval, Ledger
from lowtide.energy.sources import KWH_IN_J

LIMIT_MS = 100.0
WATTS = {"gpu0": 250.0, "cpu": 60.0, "ram": 10.0}
SHORT_S, LONG_S = 900, 100  # metered seconds of a short run, and of the long one beside it
ROWS_PER_TURN = (SHORT_S + LONG_S) * len(WATTS)
TURNS_PER_TRANSACTION = 30
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
T = TypeVar("T")


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One million rows.")] = False,
    repeats: Annotated[int, typer.Option(min=1)] = 30,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Milliseconds for the totals of the long run and of others, the ledger opened each time."""
    num_turns = ceil((1_000_000 if quick else 10_000_000) / ROWS_PER_TURN)
    with tempfile.TemporaryDirectory(prefix="lowtide-ledger-") as folder:
        path = Path(folder) / "ledger.db"
        fill_s, _ = _timed(lambda: _fill(path, num_turns))
        short = [f"run-{turn * num_turns // repeats}" for turn in range(repeats)]
        result = {
            "num_rows": num_turns * ROWS_PER_TURN,
            "num_runs": num_turns + 1,
            "num_rows_of_long_run": num_turns * LONG_S * len(WATTS),
            "file_bytes": path.stat().st_size,
            "rows_per_s_written": num_turns * ROWS_PER_TURN / fill_s,
            "totals_ms": {
                "long run": _totals_ms(path, ["long"] * repeats),
                "short runs": _totals_ms(path, short),
            },
            "limit_ms": LIMIT_MS,
            **_against_rows(path),
            **circumstances(repeats),
        }
    publish("ledger", result, _table(result), as_json)


def _fill(path: Path, num_turns: int) -> None:
    with Ledger(path):
        pass  # its tables and triggers
    names = [column.name for column in fields(Interval)]
    marks = ", ".join("?" for _ in names)
    statement = f"INSERT INTO intervals ({', '.join(names)}) VALUES ({marks})"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    firsts = range(0, num_turns, TURNS_PER_TRANSACTION)
    for first in track(firsts, "rows", console=Console(stderr=True), transient=True):
        with connection:
            for turn in range(first, min(first + TURNS_PER_TRANSACTION, num_turns)):
                connection.executemany(statement, _rows(f"run-{turn}", 0, SHORT_S))
                connection.executemany(statement, _rows("long", turn * LONG_S, LONG_S))
    connection.close()


def _rows(run_id: str, first_s: int, num_s: int) -> Iterator[tuple[object, ...]]:
    """In the order of `Interval`; a row per component and second."""
    for second in range(first_s, first_s + num_s):
        start = (BEGUN + timedelta(seconds=second)).isoformat()
        end = (BEGUN + timedelta(seconds=second + 1)).isoformat()
        for component, watts in WATTS.items():
            yield (
                run_id, "train", component, start, end, 1.0, watts, "nvml energy counter",
                "measured", 300.0, "trace (measured)", 1.2, watts / KWH_IN_J * 300 * 1.2, False,
                False, None,
            )  # fmt: skip


def _totals_ms(path: Path, runs: list[str]) -> dict[str, float]:
    times = []
    for run in runs:
        with Ledger(path) as ledger:
            seconds, totals = _timed(partial(ledger.totals, run))
        assert totals.energy_kwh
        times.append(seconds * 1000)
    return {"median": median(times), "max": max(times)}


def _against_rows(path: Path) -> dict[str, Any]:
    """The long run added up row by row: whether it is the same, and how long that takes."""
    statement = f"SELECT sum(energy_j) / {KWH_IN_J} FROM intervals WHERE run_id = 'long'"
    connection = sqlite3.connect(path)
    seconds, (added_up,) = _timed(lambda: connection.execute(statement).fetchone())
    connection.close()
    with Ledger(path) as ledger:
        totals = ledger.totals("long")
        listed_s, _ = _timed(ledger.runs)
    return {
        "totals_equal_rows": isclose(totals.energy_kwh or 0.0, added_up, rel_tol=1e-9),
        "adding_up_rows_ms": seconds * 1000,
        "list_of_runs_ms": listed_s * 1000,
    }


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = perf_counter()
    found = work()
    return perf_counter() - began, found


def _table(result: dict[str, Any]) -> Table:
    table = Table("totals of", "rows", "median", "slowest", "limit")
    rows = {"long run": result["num_rows_of_long_run"], "short runs": SHORT_S * len(WATTS)}
    for name, took in result["totals_ms"].items():
        table.add_row(
            name, f"{rows[name]:,}", f"{took['median']:.2f} ms", f"{took['max']:.2f} ms",
            f"{LIMIT_MS:.0f} ms",
        )  # fmt: skip
    same = "the same" if result["totals_equal_rows"] else "NOT the same"
    table.caption = (
        f"{result['num_rows']:,} rows, {result['num_runs']:,} runs, "
        f"{result['file_bytes'] / 1e9:.1f} GB; the long run added up row by row is {same} "
        f"and takes {result['adding_up_rows_ms']:.0f} ms"
    )
    return table


if __name__ == "__main__":
    typer.run(main)
