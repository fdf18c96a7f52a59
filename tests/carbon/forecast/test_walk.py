"""The walk never looks ahead, beats yesterday, and its bands hold what they promise."""

import numpy as np
import pytest

from lowtide.carbon.forecast.hourly import Hourly
from lowtide.carbon.forecast.walk import FARTHEST, first_fit, fit, predict, walk
from tests.carbon.forecast.grids import HOUR, START, grid_series

SERIES = grid_series(24 * 7 * 26)


def test_a_forecast_does_not_change_with_what_comes_later() -> None:
    cut = 24 * 7 * 20
    changed = np.append(SERIES[:cut], SERIES[cut:] + 500)
    one, other = walk(Hourly(START, SERIES), 24), walk(Hourly(START, changed), 24)
    assert np.isfinite(one.mean[cut - 400 : cut]).all()
    assert np.array_equal(one.mean[: cut + 1], other.mean[: cut + 1], equal_nan=True)
    assert np.array_equal(one.half_width[: cut + 1], other.half_width[: cut + 1], equal_nan=True)


def test_it_beats_the_same_hour_a_day_before_at_every_horizon() -> None:
    half = len(SERIES) // 2
    found = walk(Hourly(START, SERIES), 24)
    for ahead in (1, 6, 12, 24):
        rows = np.arange(half, len(SERIES) - ahead + 1)
        target = SERIES[rows + ahead - 1]
        error = np.abs(target - found.mean[rows, ahead - 1]).mean()
        naive = np.abs(target - SERIES[rows + ahead - 1 - 24]).mean()
        assert error < 0.9 * naive, ahead


def test_the_80_percent_band_holds_about_80_percent() -> None:
    half = len(SERIES) // 2
    found = walk(Hourly(START, SERIES), 12)
    rows = np.arange(half, len(SERIES) - 12)
    for ahead in (1, 12):
        inside = np.abs(SERIES[rows + ahead - 1] - found.mean[rows, ahead - 1])
        assert 0.72 <= (inside <= found.half_width[rows, ahead - 1]).mean() <= 0.88


def test_the_fitted_models_say_what_the_walk_would_have_said() -> None:
    num = len(SERIES) - 5
    models = fit(Hourly(START, SERIES[:num]), 24)
    mean, half = predict(models, Hourly(START, SERIES[:num]))
    found = walk(Hourly(START, SERIES), 24)
    assert mean == pytest.approx(found.mean[num], rel=1e-9)
    assert half == pytest.approx(found.half_width[num], rel=1e-9)


def test_too_short_a_history_has_no_models() -> None:
    short = SERIES[: first_fit(START) - 1]
    assert fit(Hourly(START, short), 24) == []


def test_a_constant_grid_is_forecast_as_constant() -> None:
    found = walk(Hourly(START, np.full(24 * 7 * 12, 300.0)), 6)
    assert found.mean[-1] == pytest.approx([300.0] * 6)


def test_the_first_history_that_suffices_has_a_model_for_every_hour_ahead() -> None:
    for later in range(0, 168, 12):
        start = START + HOUR * later
        series = Hourly(start, SERIES[: first_fit(start)])
        assert len(fit(series, FARTHEST)) == FARTHEST
