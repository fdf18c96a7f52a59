"""What drives the grid helps where it is known, and costs nothing where it is not."""

import numpy as np
import pytest

from lowtide.carbon.forecast.drivers import DriverFeatures, Drivers
from lowtide.carbon.forecast.hourly import Hourly
from lowtide.carbon.forecast.walk import fit, predict, walk
from tests.carbon.forecast.grids import HOUR, START, grid_series

NUM, AHEAD = 24 * 7 * 26, 12
NONE = np.empty((0, 0))


def windy(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(series, wind [n + 48]): what the wind will do is seen in the grid at once."""
    generator = np.random.default_rng(seed)
    wind = np.convolve(generator.normal(0, 1, NUM + 48 + 23), np.ones(24) / 5, mode="valid")
    return grid_series(NUM) - 25 * wind[:NUM] + 100, wind


def mae(found: np.ndarray, series: np.ndarray, ahead: int) -> float:
    rows = np.arange(len(series) // 2, len(series) - ahead)
    return float(np.abs(found[rows, ahead - 1] - series[rows + ahead - 1]).mean())


def test_a_known_weather_to_come_makes_forecasts_better() -> None:
    series, wind = windy()
    drivers = Drivers(START, NONE, wind[:, None])
    without = walk(Hourly(START, series), AHEAD).mean
    found = walk(Hourly(START, series, drivers), AHEAD).mean
    assert mae(found, series, AHEAD) < 0.85 * mae(without, series, AHEAD)


def test_noise_is_hardly_trusted() -> None:
    series = grid_series(NUM)
    noise = np.random.default_rng(3).normal(0, 1, (NUM + 48, 2))
    drivers = Drivers(START, noise[:NUM], noise)
    without = walk(Hourly(START, series), AHEAD).mean
    found = walk(Hourly(START, series, drivers), AHEAD).mean
    assert mae(found, series, AHEAD) < 1.02 * mae(without, series, AHEAD)


def test_unknown_drivers_change_nothing() -> None:
    series = grid_series(NUM)
    drivers = Drivers(START, np.full((NUM, 2), np.nan), np.full((NUM, 1), np.nan))
    found = walk(Hourly(START, series, drivers), 3).mean
    assert np.array_equal(found, walk(Hourly(START, series), 3).mean, equal_nan=True)


def test_the_walk_sees_no_generation_of_the_hour_it_forecasts() -> None:
    series, wind = windy()
    cut = NUM - 30
    changed = np.append(wind[:cut], np.zeros(NUM - cut))[:, None]
    one = walk(Hourly(START, series, Drivers(START, wind[:NUM, None], NONE)), 6)
    other = walk(Hourly(START, series, Drivers(START, changed, NONE)), 6)
    assert np.array_equal(one.mean[: cut + 1], other.mean[: cut + 1], equal_nan=True)
    assert not np.array_equal(one.mean[cut + 1 :], other.mean[cut + 1 :])


def test_the_fitted_models_say_what_the_walk_would_have_said() -> None:
    series, wind = windy()
    num = NUM - 5
    drivers = Drivers(START, wind[:num, None], wind[: num + 24, None])
    models = fit(Hourly(START, series[:num], drivers), AHEAD)
    mean, _ = predict(models, Hourly(START, series[:num], drivers))
    found = walk(Hourly(START, series, Drivers(START, wind[:NUM, None], wind[:, None])), AHEAD)
    assert mean == pytest.approx(found.mean[num], rel=1e-9)
    assert any(model.trust > 0 for model in models)


def test_they_are_aligned_by_the_hour() -> None:
    drivers = Drivers(START, np.arange(5.0)[:, None], np.arange(7.0)[:, None])
    later = drivers.aligned(START + HOUR * 2, 4, 2)
    assert later.seen[:, 0] == pytest.approx([2, 3, 4, np.nan], nan_ok=True)
    assert later.coming[:, 0] == pytest.approx([2, 3, 4, 5, 6, np.nan], nan_ok=True)
    before = drivers.aligned(START - HOUR, 3, 0)
    assert before.seen[:, 0] == pytest.approx([np.nan, 0, 1], nan_ok=True)


def test_a_week_of_which_half_is_missing_has_no_features() -> None:
    seen = np.ones((400, 1))
    seen[100:190] = np.nan
    drivers = Drivers(START, seen, np.empty((410, 0)))
    design = DriverFeatures(drivers, np.array([200, 399])).design(3)
    assert np.isnan(design[0]).any()
    assert np.isfinite(design[1]).all()


def test_a_column_that_stood_still_for_a_week_does_not_throw_the_forecast() -> None:
    """Sunshine after the polar night: the week before has no spread to measure it by."""
    series, wind = windy()
    sun = np.zeros(len(wind))
    sun[NUM - 20 :] = 2.0
    drivers = Drivers(START, NONE, np.column_stack([wind, sun]))
    found = walk(Hourly(START, series, drivers), AHEAD).mean[NUM - 60 : NUM - AHEAD]
    assert found.min() > 0
    assert found.max() < 2 * series.max()
