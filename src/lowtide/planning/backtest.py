"""Policies side by side on a recorded trace: every job under every policy, as the grid was."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from lowtide.carbon.forecast.hourly import Hourly, filled
from lowtide.carbon.forecast.walk import Walk, walk
from lowtide.planning.choice import BAND_WIDTH, Outlook
from lowtide.planning.greedy import least_grams
from lowtide.planning.policies import (
    DoubleThreshold,
    Foresight,
    Guarded,
    Outlooks,
    Replan,
    RunNow,
    Threshold,
)
from lowtide.planning.profile import FULL, WorkProfile
from lowtide.planning.simulate import Job, Outcome, Policy, simulate

EVERY = 7  # hours between two releases, by default: coprime to the day
POLICIES = (
    "run-now", "oracle", "oracle-contiguous", "threshold", "dtpr", "seasonal-naive",
    "naive-mean", "lowtide",
)  # fmt: skip
DAY, WEEK = 24, 168


@dataclass(frozen=True)
class Setting:
    """What is tested: hours of work and of slack, and how the work can run. Slots are hours."""

    work_hours: float
    slack_hours: float
    profile: WorkProfile = field(default_factory=WorkProfile)
    contiguous: bool = False

    @property
    def window(self) -> int:
        return int(np.ceil(self.work_hours + self.slack_hours))


@dataclass(frozen=True)
class Grid:
    """A trace by the hour: `truth` with NaN gaps, `known` with them closed causally."""

    truth: np.ndarray
    known: np.ndarray
    forecasts: Walk


def prepare(series: Hourly, setting: Setting) -> Grid:
    return Grid(series.values, filled(series.values), walk(series, setting.window))


def releases(grid: Grid, setting: Setting, num_starts: int | None) -> list[int]:
    """A job every seven hours over the second half of the trace; windows with a gap are left out.

    `num_starts` spreads that many over the half instead.
    """
    num = len(grid.truth)
    first, last = num // 2, num - setting.window
    if num_starts is None:
        starts: Iterable[int] = range(first, last + 1, EVERY)
    else:
        starts = np.unique(np.linspace(first, last, num_starts).astype(int)).tolist()
    return [s for s in starts if np.isfinite(grid.truth[s : s + setting.window]).all()]


def run_job(grid: Grid, setting: Setting, start: int) -> dict[str, Outcome]:
    """One job under every policy, by name."""
    job = Job(start, setting.window, setting.work_hours)
    return {
        name: simulate(
            policy_for(name, grid, setting, job), job, grid.truth,
            WorkProfile((FULL,)) if name == "run-now" else setting.profile, 1.0,
        )
        for name in POLICIES
    }  # fmt: skip


def bound(grid: Grid, setting: Setting, start: int) -> float:
    """What the pausing oracle emits where pausing and resuming cost nothing, at full power."""
    cost = grid.truth[start : start + setting.window]
    return least_grams(cost, setting.work_hours, WorkProfile((FULL,)), 1.0)


def policy_for(name: str, grid: Grid, setting: Setting, job: Job) -> Policy:
    profile, pausing = setting.profile, not setting.contiguous
    match name:
        case "run-now":
            return RunNow(WorkProfile((FULL,)))
        case "oracle":
            return Foresight(grid.truth, job, profile, 1.0, pausing)
        case "oracle-contiguous":
            return Foresight(grid.truth, job, profile, 1.0, pausing=False)
        case "threshold":
            return Threshold(grid.known, profile, 1.0)
        case "dtpr":
            return DoubleThreshold(grid.known, job, profile, 1.0)
        case "seasonal-naive":
            return Replan(_naive(grid, (DAY,)), profile, 1.0, careful=False, pausing=pausing)
        case "naive-mean":
            return Replan(_naive(grid, (DAY, WEEK)), profile, 1.0, careful=False, pausing=pausing)
        case _:
            plan = Replan(_trained(grid), profile, 1.0, careful=True, pausing=pausing)
            return Guarded(plan, grid.known, job)


def _naive(grid: Grid, periods: Sequence[int]) -> Outlooks:
    """The mean of the newest known same hours, one period and another before."""

    def outlook(at: int, num: int) -> Outlook:
        ahead = np.arange(num)
        past = [grid.known[at + ahead - period * (ahead // period + 1)] for period in periods]
        return Outlook(np.mean(past, axis=0), np.full(num, np.nan))

    return outlook


def _trained(grid: Grid) -> Outlooks:
    """What lowtide would have forecast then; where it had too little history, yesterday."""
    naive = _naive(grid, (DAY,))

    def outlook(at: int, num: int) -> Outlook:
        mean = grid.forecasts.mean[at, :num]
        if not np.isfinite(mean).all():
            return naive(at, num)
        return Outlook(mean, grid.forecasts.half_width[at, :num] / BAND_WIDTH)

    return outlook


def summarise(
    outcomes: Sequence[dict[str, Outcome]], bounds: Sequence[float]
) -> dict[str, dict[str, float | int]]:
    """By policy: saving 1 - sum / sum of run-now, its 5-95 % range over the jobs, the share of
    what the pausing oracle without overhead saves, jobs worse than run-now, misses, switches."""
    now = np.array([outcome["run-now"].emissions_g_per_kw for outcome in outcomes])
    possible = now.sum() - np.sum(bounds)
    table: dict[str, dict[str, float | int]] = {}
    for name in POLICIES:
        grams = np.array([outcome[name].emissions_g_per_kw for outcome in outcomes])
        savings = 1 - grams / now
        low, high = np.quantile(savings, [0.05, 0.95])
        table[name] = {
            "saving": float(1 - grams.sum() / now.sum()),
            "saving_p05": float(low),
            "saving_p95": float(high),
            "ratio_to_oracle": float((now.sum() - grams.sum()) / possible) if possible else 0.0,
            "worse_than_run_now": float((grams > now * (1 + 1e-9)).mean()),
            "worst_excess": float(max((grams / now).max() - 1, 0.0)),
            "deadline_misses": sum(outcome[name].missed for outcome in outcomes),
            "switches": float(np.mean([outcome[name].switches for outcome in outcomes])),
        }
    return table


def run_all(
    grid: Grid, setting: Setting, starts: Sequence[int], tell: Callable[[], None]
) -> list[dict[str, Outcome]]:
    """Every job, on all cores; `tell` is called as each is done."""
    with ProcessPoolExecutor(initializer=_share, initargs=(grid, setting)) as pool:
        outcomes = []
        for outcome in pool.map(_run_shared, starts, chunksize=4):
            outcomes.append(outcome)
            tell()
    return outcomes


_shared: list[tuple[Grid, Setting]] = []  # of a worker process: sent once, not with each job


def _share(grid: Grid, setting: Setting) -> None:
    _shared[:] = [(grid, setting)]


def _run_shared(start: int) -> dict[str, Outcome]:
    grid, setting = _shared[0]
    return run_job(grid, setting, start)
