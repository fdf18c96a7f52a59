"""Policies on a trace: the oracle is the bound, nothing misses, nothing looks ahead."""

from dataclasses import replace

import numpy as np
import pytest

from lowtide.planning.backtest import (
    POLICIES,
    Setting,
    bound,
    prepare,
    releases,
    run_all,
    run_job,
    summarise,
)
from lowtide.planning.profile import Level, WorkProfile
from tests.carbon.forecast.grids import START, grid_series

SERIES = grid_series(24 * 7 * 20)
SHORT = Setting(6, 18)
COSTLY = Setting(6, 18, WorkProfile(resume_hours=0.5, idle_power=0.1))
ELASTIC = Setting(6, 18, WorkProfile((Level(1, 1, 1), Level(2, 1.9, 2))))


@pytest.mark.parametrize("setting", [SHORT, COSTLY, ELASTIC], ids=["free", "costly", "elastic"])
def test_no_policy_beats_the_oracle_or_misses_its_deadline(setting: Setting) -> None:
    grid = prepare(SERIES, START, setting)
    for start in releases(grid, setting, 12):
        outcomes = run_job(grid, setting, start)
        assert list(outcomes) == list(POLICIES)
        for name, outcome in outcomes.items():
            assert not outcome.missed, name
            floor = outcomes["oracle"].emissions_g_per_kw
            assert outcome.emissions_g_per_kw >= floor * (1 - 1e-6), name


def test_the_oracle_equals_the_bound_where_pausing_is_free() -> None:
    grid = prepare(SERIES, START, SHORT)
    for start in releases(grid, SHORT, 12):
        oracle = run_job(grid, SHORT, start)["oracle"].emissions_g_per_kw
        assert oracle == pytest.approx(bound(grid, SHORT, start), rel=1e-6)


@pytest.mark.parametrize("setting", [SHORT, COSTLY, ELASTIC], ids=["free", "costly", "elastic"])
def test_given_the_true_future_lowtide_equals_the_oracle(setting: Setting) -> None:
    grid = prepare(SERIES, START, setting)
    ahead = np.arange(len(SERIES))[:, None] + np.arange(setting.window)[None, :]
    known = ahead < len(SERIES)
    future = np.where(known, SERIES[np.minimum(ahead, len(SERIES) - 1)], np.nan)
    told = replace(grid.forecasts, mean=future, half_width=np.zeros_like(future))
    grid = replace(grid, forecasts=told)
    for start in releases(grid, setting, 12):
        outcomes = run_job(grid, setting, start)
        ours, oracle = outcomes["lowtide"], outcomes["oracle"]
        assert ours.emissions_g_per_kw == pytest.approx(oracle.emissions_g_per_kw, rel=1e-6)


def test_decisions_do_not_change_with_what_comes_after_the_job() -> None:
    grid = prepare(SERIES, START, SHORT)
    start = releases(grid, SHORT, None)[10]
    changed = SERIES.copy()
    changed[start + SHORT.window :] += 400
    other = run_job(prepare(changed, START, SHORT), SHORT, start)
    assert run_job(grid, SHORT, start) == other


def test_a_release_every_seven_hours_over_the_second_half_without_gaps() -> None:
    holed = SERIES.copy()
    holed[2000] = np.nan
    starts = releases(prepare(holed, START, SHORT), SHORT, None)
    assert starts[0] == len(SERIES) // 2
    assert all(not start <= 2000 < start + SHORT.window for start in starts)
    assert set(np.diff(starts)) - {7} <= {28}


def test_the_summary_is_in_shares_of_the_bound() -> None:
    grid = prepare(SERIES, START, SHORT)
    starts = releases(grid, SHORT, 8)
    told: list[int] = []
    outcomes = run_all(grid, SHORT, starts, lambda: told.append(1))
    table = summarise(outcomes, [bound(grid, SHORT, start) for start in starts])
    assert len(told) == len(starts)
    assert table["run-now"]["saving"] == 0
    assert table["oracle"]["ratio_to_oracle"] == pytest.approx(1)
    assert 0.2 < table["lowtide"]["ratio_to_oracle"] <= 1
