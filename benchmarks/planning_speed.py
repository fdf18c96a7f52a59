"""How long one plan takes: 72 h in slots of 15 minutes, four levels, by what makes it harder.

Each case is planned in turn, round after round, so that what else the machine does falls on all.
"""

from statistics import median
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from benchmarks.publish import circumstances, publish
from lowtide.planning.dynamic import cheapest_slots
from lowtide.planning.profile import Level, WorkProfile

NUM_SLOTS, SLOT_HOURS = 288, 0.25
LEVELS = {
    "whole: 1 to 4": (Level(1, 1.0, 1), Level(2, 2.0, 2.1), Level(3, 3.0, 3.3), Level(4, 4.0, 4.6)),
    "quarters": (
        Level(1, 1.0, 1),
        Level(0.75, 0.75, 0.7),
        Level(0.5, 0.5, 0.45),
        Level(0.25, 0.25, 0.22),
    ),
    "measured": (
        Level(1, 1.0, 1),
        Level(0.8, 0.737, 0.6),
        Level(0.6, 0.512, 0.4),
        Level(0.4, 0.351, 0.3),
    ),
}
COSTS_OF_PAUSES = {"free": (0.0, 0.0), "5 min, idle 0.1": (5 / 60, 0.1)}
WORK_HOURS = (12, 24, 48)


def main(
    repeats: Annotated[int, typer.Option(min=1)] = 15,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Milliseconds per plan, median over the rounds and the slowest."""
    hours = np.arange(NUM_SLOTS) * SLOT_HOURS
    noise = np.random.default_rng(0).standard_normal(NUM_SLOTS).cumsum()
    cost = 300 + 80 * np.sin(hours / 24 * 2 * np.pi) + 6 * noise
    cases = {
        (levels, pauses, work): WorkProfile(LEVELS[levels], *COSTS_OF_PAUSES[pauses])
        for levels in LEVELS
        for pauses in COSTS_OF_PAUSES
        for work in WORK_HOURS
    }
    times: dict[tuple[str, str, int], list[float]] = {case: [] for case in cases}
    for _ in range(repeats):
        for case, profile in cases.items():
            began = perf_counter()
            cheapest_slots(cost, case[2], profile, SLOT_HOURS)
            times[case].append((perf_counter() - began) * 1000)
    rows = [
        {
            "levels": case[0],
            "pauses": case[1],
            "work_hours": case[2],
            "median_ms": median(found),
            "max_ms": max(found),
        }
        for case, found in times.items()
    ]
    publish("planning_speed", {"plans": rows, **circumstances(repeats)}, _table(rows), as_json)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("levels", "a pause costs", "work", "median", "slowest")
    for row in rows:
        table.add_row(
            row["levels"],
            row["pauses"],
            f"{row['work_hours']} h",
            f"{row['median_ms']:.0f} ms",
            f"{row['max_ms']:.0f} ms",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
