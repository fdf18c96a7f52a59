"""Scores by hours ahead, and repeated days set apart."""

import numpy as np
import pytest

from lowtide.carbon.forecast.evaluate import evaluate_forecasts
from lowtide.carbon.forecast.hourly import Hourly
from lowtide.errors import CarbonError
from tests.carbon.forecast.grids import START, grid_series


def test_scores_each_horizon_against_yesterday() -> None:
    found = evaluate_forecasts(Hourly(START, grid_series(24 * 7 * 20)))
    assert list(found["horizons"]) == ["1", "6", "12", "24", "48"]
    for score in found["horizons"].values():
        assert 0 < score["mae"] < score["mae_seasonal_naive"]
        assert 0.6 < score["coverage_80"] < 1.0
    assert found["repeated_hours"] == 0


def test_a_day_that_repeats_the_one_before_is_left_out_of_the_second_score() -> None:
    series = grid_series(24 * 7 * 20)
    day = 24 * 7 * 15
    series[day : day + 24] = series[day - 24 : day]
    found = evaluate_forecasts(Hourly(START, series))
    assert found["repeated_hours"] == 24
    score = found["horizons"]["24"]
    assert score["num"] - score["without_repeated_days"]["num"] == 24
    assert score["without_repeated_days"]["mae_seasonal_naive"] > score["mae_seasonal_naive"]


def test_a_short_trace_is_refused() -> None:
    with pytest.raises(CarbonError, match="too short"):
        evaluate_forecasts(Hourly(START, np.full(500, 100.0)))
