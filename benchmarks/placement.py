"""Placement: how long the proven optimum takes, and what it saves on ten recorded grids.

The first part solves 24 hours of 50 sites and 20 user groups drawn at random, with idle power,
least shares and every single loss survived. The second replays days of real traces; shares are
chosen by what the grids were an hour before and charged with what they were.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.publish import circumstances, publish
from benchmarks.ten_grids import Setting, ten_sites
from lowtide.errors import CapacityError, CarbonError
from lowtide.placement.intensity import open_grids
from lowtide.placement.problem import Problem
from lowtide.placement.replay import replay_day
from lowtide.placement.sites import Availability
from lowtide.placement.solve import solve

NUM_SITES, NUM_GROUPS, NUM_HOURS = 50, 20, 24
MAIN = "200 ms, room 3"
SETTINGS = {
    MAIN: Setting(200.0, 3.0),
    "100 ms, room 3": Setting(100.0, 3.0),
    "200 ms, room 2": Setting(200.0, 2.0),
    "100 ms, room 2": Setting(100.0, 2.0),
}
FIRST = datetime(2022, 4, 24, tzinfo=UTC)  # all ten traces, shifted, cover the time from here
NUM_WEEKS, QUICK_WEEKS = 32, 4


def random_hours(seed: int) -> list[Problem]:
    """Places in a square 200 ms wide; users reach what lies within 120 ms. Capacity is twice the
    mean demand, idle power 50 to 300 W, grids from 20 to 700 g/kWh that each swing over a day."""
    draw = np.random.default_rng(seed)
    users, sites = draw.uniform(0, 1, (NUM_GROUPS, 2)), draw.uniform(0, 1, (NUM_SITES, 2))
    latency_ms = 15 + 200 * np.linalg.norm(users[:, None] - sites[None], axis=2)
    demand_per_s, capacity = draw.lognormal(3, 0.7, NUM_GROUPS), draw.lognormal(0, 0.5, NUM_SITES)
    capacity_per_s = 2 * demand_per_s.sum() * capacity / capacity.sum()
    energy_j = draw.uniform(0.3, 2, NUM_SITES) * draw.uniform(1.05, 1.6, NUM_SITES)
    energy_j = energy_j + draw.uniform(0.02, 0.3, (NUM_GROUPS, NUM_SITES))
    idle_w, embodied_g = draw.uniform(50, 300, NUM_SITES), draw.uniform(1, 10, NUM_SITES)
    mean_g, peak = draw.uniform(20, 700, NUM_SITES), draw.uniform(0, 24, NUM_SITES)
    evening = draw.uniform(0, 24, NUM_GROUPS)
    rules = Availability(share_max=0.3, share_min=0.01, survive_one_loss=True)
    problems = []
    for hour in range(NUM_HOURS):
        grid_g = mean_g * (1 + 0.5 * np.cos((hour - peak) / 24 * 2 * np.pi))
        day = 1 + 0.4 * np.cos((hour - evening) / 24 * 2 * np.pi)
        problems.append(
            Problem(
                f"{hour:02}:00 UTC",
                tuple(f"group-{place}" for place in range(NUM_GROUPS)),
                tuple(f"site-{place}" for place in range(NUM_SITES)),
                demand_per_s * day,
                energy_j * grid_g / 3.6e6,
                idle_w / 1000 * grid_g + embodied_g,
                latency_ms,
                np.full(NUM_GROUPS, 120.0),
                capacity_per_s,
                rules,
            )
        )
    return problems


def time_optimum(repeats: int, num_hours: int) -> dict[str, Any]:
    """Seconds for a day: median over `repeats` random worlds, and the slowest; CPU seconds tell
    what it takes where other work runs beside it."""
    seconds, cpu_seconds, gaps = [], [], []
    for seed in range(repeats):
        problems = random_hours(seed)[:num_hours]
        began, began_cpu = perf_counter(), process_time()
        found = [solve(problem) for problem in problems]
        seconds.append(perf_counter() - began)
        cpu_seconds.append(process_time() - began_cpu)
        gaps += [one.mip_gap for one in found]
    return {
        "seconds": median(seconds),
        "seconds_max": max(seconds),
        "cpu_seconds": median(cpu_seconds),
        "mip_gap": max(gaps),
        "num_sites": NUM_SITES,
        "num_groups": NUM_GROUPS,
        "num_hours": num_hours,
    }


def replay_setting(
    traces: Path, setting: Setting, num_weeks: int, tell: Callable[[], None]
) -> dict[str, Any]:
    """One day of each of `num_weeks` weeks, spread over the traces, each another weekday."""
    found = ten_sites(traces, setting)
    grids = open_grids(found, FIRST)
    days, left_out = [], {}
    for number in range(num_weeks):
        start = FIRST + timedelta(weeks=number * NUM_WEEKS // num_weeks, days=number % 7)
        try:
            days.append(replay_day(found, start, grids=grids))
        except (CarbonError, CapacityError) as error:  # a gap in a trace, a crowded hour
            left_out[f"{start:%Y-%m-%d}"] = str(error)
        tell()
    return {"num_days": len(days), "left_out": left_out, "policies": _sum(days)}


def _sum(days: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Grams added up over days; of latency the worst and the mean."""
    policies: dict[str, dict[str, float]] = {}
    for name in days[0]["policies"] if days else ():
        figures = [day["policies"][name] for day in days]
        equal_g, nearest_g, emissions_g = (
            sum(day["policies"][each]["emissions_g"] for day in days)
            for each in ("equal-split", "least-latency", name)
        )
        by_day = [one["saving_vs_equal_split"] for one in figures]
        policies[name] = {
            "emissions_g": emissions_g,
            "saving_vs_equal_split": 1 - emissions_g / equal_g,
            "saving_vs_least_latency": 1 - emissions_g / nearest_g,
            "saving_of_worst_day": min(by_day),
            "latency_ms_p95_max": max(one["latency_ms_p95_max"] for one in figures),
            "latency_ms_p95_mean": float(np.mean([one["latency_ms_p95_mean"] for one in figures])),
            "share_over_limit": max(one["share_over_limit"] for one in figures),
            "moved_share_per_hour": float(
                np.mean([one["moved_share_per_hour"] for one in figures])
            ),
        }
    return policies


def main(
    traces: Annotated[Path, typer.Option(help="A folder of traces.")] = Path(
        "../shared/data/carbon"
    ),
    quick: Annotated[bool, typer.Option(help=f"{QUICK_WEEKS} days, one random world.")] = False,
    days: Annotated[int | None, typer.Option(min=1, help="Days to replay a setting.")] = None,
    hours: Annotated[int, typer.Option(min=1, max=24, help="Of a random world.")] = NUM_HOURS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Seconds to the optimum of a day, and grams saved on real grids."""
    repeats = 1 if quick else 5
    num_weeks = days or (QUICK_WEEKS if quick else NUM_WEEKS)
    timed = time_optimum(repeats, hours)
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("replay", total=num_weeks * len(SETTINGS))
        found = {
            title: replay_setting(traces, setting, num_weeks, lambda: bar.advance(task))
            for title, setting in SETTINGS.items()
        }
    main_policies = found[MAIN]["policies"]
    if not main_policies:
        raise SystemExit(
            f"no day could be replayed: {next(iter(found[MAIN]['left_out'].values()))}"
        )
    result = {
        "saving_vs_equal_split": main_policies["lowtide"]["saving_vs_equal_split"],
        **timed,
        "setting": MAIN,
        "settings": found,
        **circumstances(repeats),
    }
    publish("placement", result, _table(result), as_json)


def _table(result: Mapping[str, Any]) -> Table:
    title = "ten recorded grids; equal split is among sites within the limit"
    columns = (
        "setting", "policy", "less than equal split", "worst day", "than least latency",
        "p95 ms, worst", "p95 ms, mean",
    )  # fmt: skip
    table = Table(*columns, title=title)
    for setting, one in result["settings"].items():
        for name, figures in one["policies"].items():
            table.add_row(
                setting,
                name,
                f"{figures['saving_vs_equal_split']:.1%}",
                f"{figures['saving_of_worst_day']:.1%}",
                f"{figures['saving_vs_least_latency']:.1%}",
                f"{figures['latency_ms_p95_max']:.0f}",
                f"{figures['latency_ms_p95_mean']:.0f}",
            )
        if one["left_out"]:
            table.add_row(setting, f"{len(one['left_out'])} days cannot be placed or lack data")
    table.caption = (
        f"{result['num_sites']} sites x {result['num_groups']} groups x "
        f"{result['num_hours']} hours: {result['seconds']:.1f} s, "
        f"slowest {result['seconds_max']:.1f} s, "
        f"gap {result['mip_gap']:g}"
    )
    return table


if __name__ == "__main__":
    typer.run(main)
