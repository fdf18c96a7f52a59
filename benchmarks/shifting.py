"""Recurring runs on a grid that changes by the hour: joules and grams of the very same runs.

Each run is planned in a receding horizon by lowtide's own planner and forecasts, as in the
backtest: a decision for an hour sees only the hours before it. The planner is given the levels that
were measured for the run's batch size, and how long the run will take.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.recurrences import Run, Workload, recurrences
from lowtide.carbon.trace import TraceSource
from lowtide.controller.levels import relative_levels
from lowtide.controller.power import Tradeoff
from lowtide.planning.backtest import Grid, Setting, policy_for, prepare, releases
from lowtide.planning.dynamic import Use
from lowtide.planning.policies import RunNow
from lowtide.planning.profile import Level, WorkProfile
from lowtide.planning.simulate import Job, Policy, View, simulate

PLANNERS = ("lowtide", "oracle")


@dataclass(frozen=True)
class Terms:
    """How the recorded jobs are put on an hourly grid.

    Each is stretched, all its configurations by one factor, until the default takes `work_hours` at
    full power; the deadline leaves it `slack` of that. What a pause costs: as in `WorkProfile`.
    `eta`: as in `Tradeoff`, for the batch size; levels are the planner's.
    """

    work_hours: float
    slack: float
    resume_hours: float
    idle_power: float
    eta: float
    seeds: int
    planners: tuple[str, ...] = PLANNERS

    @property
    def setting(self) -> Setting:
        return Setting(self.work_hours, self.slack * self.work_hours)


@dataclass(frozen=True)
class Shifted:
    """All runs of a workload on one trace, relative to as many of the default at full power, begun
    at once at the same releases. `stopped`: batch sizes given up, of `num_runs`."""

    energy_ratio: Mapping[str, float]
    grams_ratio: Mapping[str, float]
    deadline_misses: int
    stopped: int
    num_runs: int

    def points(self, planner: str) -> float:
        """By how many points of the default's grams fall more than energy does of the default's."""
        return 100 * (self.energy_ratio[planner] - self.grams_ratio[planner])


def shift_all(
    traces: Sequence[Path], workloads: Mapping[str, Workload], terms: Terms
) -> Iterator[tuple[str, str, Shifted]]:
    """(trace, workload, what came of it) of every pair, on all cores, as each is done."""
    pairs = list(product(traces, workloads))
    with ProcessPoolExecutor() as pool:
        found = pool.map(
            _shift,
            (trace for trace, _ in pairs),
            (workloads[name] for _, name in pairs),
            [terms] * len(pairs),
            chunksize=len(workloads),  # a process forecasts a whole trace
        )
        for (trace, name), one in zip(pairs, found, strict=True):
            yield trace.name.split(".")[0], name, one


@lru_cache(maxsize=1)
def _grid(trace: Path, setting: Setting) -> Grid:
    return prepare(TraceSource(trace, trace.name.split(".")[0]).hours(), setting)


def _shift(trace: Path, work: Workload, terms: Terms) -> Shifted:
    return shift(_grid(trace, terms.setting), work, terms)


def shift(grid: Grid, work: Workload, terms: Terms) -> Shifted:
    """Each seed's recurrences in turn, released evenly over the second half of the trace."""
    drawn = list(_released(grid, work, terms))
    usual = sum((_of_default(grid, start, terms) for start, _ in drawn), np.zeros(2))
    ours, misses = {name: np.zeros(2) for name in terms.planners}, 0
    for start, run in drawn:
        job, setting, power = _as_job(work, run, start, terms)
        for name in terms.planners:
            policy = policy_for(name, grid, setting, job)
            spent, missed = _spent(policy, job, grid.truth, setting.profile)
            ours[name] += power * spent
            misses += int(missed)
    ratios = {name: (spent / usual).tolist() for name, spent in ours.items()}
    return Shifted(
        {name: energy for name, (energy, _) in ratios.items()},
        {name: grams for name, (_, grams) in ratios.items()},
        misses,
        sum(not run.reached for _, run in drawn),
        len(drawn),
    )


def _released(grid: Grid, work: Workload, terms: Terms) -> Iterator[tuple[int, Run]]:
    tradeoff = Tradeoff(terms.eta, work.max_power_w)
    every = np.array(releases(grid, terms.setting, None))
    for seed in range(terms.seeds):
        runs = recurrences(work, tradeoff, seed, work.default_s * (1 + terms.slack))
        picked = np.linspace(0, len(every) - 1, len(runs)).astype(int)
        yield from zip(every[picked].tolist(), runs, strict=True)


def _of_default(grid: Grid, start: int, terms: Terms) -> np.ndarray:
    """(kWh, grams) per kW of the default at full power, begun at once."""
    job = Job(start, terms.setting.window, terms.work_hours)
    return _spent(RunNow(WorkProfile()), job, grid.truth, WorkProfile())[0]


def _as_job(work: Workload, run: Run, start: int, terms: Terms) -> tuple[Job, Setting, float]:
    """The run on the grid, what it can run at, and its full power in units of the default's."""
    full = work.full_power(run.batch_size)
    hours = terms.work_hours * run.num_epochs / full.throughput / work.default_s
    levels = tuple(Level(*level) for level in relative_levels(work.points[run.batch_size]))
    profile = WorkProfile(levels, terms.resume_hours, terms.idle_power)
    setting = Setting(terms.work_hours, terms.slack * terms.work_hours, profile)
    power = full.power_w / work.full_power(work.default).power_w
    return Job(start, setting.window, hours), setting, power


class _Recorder:
    """A policy that is asked once a slot, and answers the same ever after."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._uses: dict[int, Use | None] = {}

    def use(self, view: View) -> Use | None:
        if view.at not in self._uses:
            self._uses[view.at] = self._policy.use(view)
        return self._uses[view.at]


def _spent(
    policy: Policy, job: Job, truth: np.ndarray, profile: WorkProfile
) -> tuple[np.ndarray, bool]:
    """(kWh, grams) per kW of full power, and whether the deadline was missed: the same decisions
    on the grid as it was, and on one of 1 g/kWh."""
    recorder = _Recorder(policy)
    found = simulate(recorder, job, truth, profile, 1.0)
    energy = simulate(recorder, job, np.ones_like(truth), profile, 1.0)
    return np.array([energy.emissions_g_per_kw, found.emissions_g_per_kw]), found.missed
