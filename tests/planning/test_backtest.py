"""Policies on a trace: the oracle is the bound, nothing misses, nothing looks ahead."""

from dataclasses import replace

import numpy as np
import pytest

from lowtide.carbon.forecast.hourly import Hourly
from lowtide.planning.backtest import (
    POLICIES,
    Setting,
    bound,
    policy_for,
    prepare,
    releases,
    run_all,
    run_job,
    summarise,
)
from lowtide.planning.dynamic import Use
from lowtide.planning.profile import Level, WorkProfile
from lowtide.planning.simulate import Job, Policy, View, simulate
from tests.carbon.forecast.grids import START, grid_series

SERIES = grid_series(24 * 7 * 20)
SHORT = Setting(6, 18)
COSTLY = Setting(6, 18, WorkProfile(resume_hours=0.5, idle_power=0.1))
ELASTIC = Setting(6, 18, WorkProfile((Level(1, 1, 1), Level(2, 1.9, 2))))


@pytest.mark.parametrize("setting", [SHORT, COSTLY, ELASTIC], ids=["free", "costly", "elastic"])
def test_no_policy_beats_the_oracle_or_misses_its_deadline(setting: Setting) -> None:
    grid = prepare(Hourly(START, SERIES), setting)
    for start in releases(grid, setting, 12):
        outcomes = run_job(grid, setting, start)
        assert list(outcomes) == list(POLICIES)
        for name, outcome in outcomes.items():
            assert not outcome.missed, name
            floor = outcomes["oracle"].emissions_g_per_kw
            assert outcome.emissions_g_per_kw >= floor * (1 - 1e-6), name


def test_the_oracle_equals_the_bound_where_pausing_is_free() -> None:
    grid = prepare(Hourly(START, SERIES), SHORT)
    for start in releases(grid, SHORT, 12):
        oracle = run_job(grid, SHORT, start)["oracle"].emissions_g_per_kw
        assert oracle == pytest.approx(bound(grid, SHORT, start), rel=1e-6)


@pytest.mark.parametrize("setting", [SHORT, COSTLY, ELASTIC], ids=["free", "costly", "elastic"])
def test_given_the_true_future_lowtide_equals_the_oracle(setting: Setting) -> None:
    grid = prepare(Hourly(START, SERIES), setting)
    ahead = np.arange(len(SERIES))[:, None] + np.arange(setting.window)[None, :]
    known = ahead < len(SERIES)
    future = np.where(known, SERIES[np.minimum(ahead, len(SERIES) - 1)], np.nan)
    told = replace(grid.forecasts, mean=future, half_width=np.zeros_like(future))
    grid = replace(grid, forecasts=told)
    for start in releases(grid, setting, 12):
        outcomes = run_job(grid, setting, start)
        ours, oracle = outcomes["lowtide"], outcomes["oracle"]
        assert ours.emissions_g_per_kw == pytest.approx(oracle.emissions_g_per_kw, rel=1e-6)


class Recorder:
    """What a policy decided, slot by slot."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.uses: list[Use | None] = []

    def use(self, view: View) -> Use | None:
        self.uses.append(self._policy.use(view))
        return self.uses[-1]


@pytest.mark.parametrize("name", [p for p in POLICIES if not p.startswith("oracle")])
@pytest.mark.parametrize("seen", [3, 8])
def test_a_decision_does_not_change_with_what_comes_after_it(name: str, seen: int) -> None:
    """Not within the job's own window either: that is where peeking would pay."""
    start = releases(prepare(Hourly(START, SERIES), SHORT), SHORT, None)[10]
    changed = SERIES.copy()
    changed[start + seen :] = 900 - changed[start + seen :]
    decided = []
    for series in (SERIES, changed):
        grid = prepare(Hourly(START, series), SHORT)
        job = Job(start, SHORT.window, SHORT.work_hours)
        recorder = Recorder(policy_for(name, grid, SHORT, job))
        simulate(recorder, job, series, SHORT.profile, 1.0)
        decided.append(recorder.uses[: seen + 1])
    assert decided[0] == decided[1]


def test_a_release_every_seven_hours_over_the_second_half_without_gaps() -> None:
    holed = SERIES.copy()
    holed[2000] = np.nan
    starts = releases(prepare(Hourly(START, holed), SHORT), SHORT, None)
    assert starts[0] == len(SERIES) // 2
    assert all(not start <= 2000 < start + SHORT.window for start in starts)
    assert set(np.diff(starts)) - {7} <= {28}


def test_the_summary_is_in_shares_of_the_bound() -> None:
    grid = prepare(Hourly(START, SERIES), SHORT)
    starts = releases(grid, SHORT, 8)
    told: list[int] = []
    outcomes = run_all(grid, SHORT, starts, lambda: told.append(1))
    table = summarise(outcomes, [bound(grid, SHORT, start) for start in starts])
    assert len(told) == len(starts)
    assert table["run-now"]["saving"] == 0
    assert table["oracle"]["ratio_to_oracle"] == pytest.approx(1)
    assert 0.2 < table["lowtide"]["ratio_to_oracle"] <= 1
