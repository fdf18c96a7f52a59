"""From history to a forecast with bands: trained, by rule, or the last value."""

from datetime import timedelta

import numpy as np
import pytest

from lowtide.carbon.forecast.kept import FOLDER
from lowtide.carbon.forecast.values import forecast_values
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import CarbonError
from tests.carbon.forecast.grids import HOUR, START, grid_series, values_of

LONG = grid_series(24 * 7 * 10)


def levels(values: list[IntensityValue]) -> list[float]:
    return [value.intensity_g_per_kwh for value in values]


def test_a_long_history_is_trained_on_and_has_bands() -> None:
    at = START + HOUR * len(LONG)
    found = forecast_values(values_of(LONG), at, 36)
    assert "ridge" in found[0].source
    assert [found[0].start, found[-1].end] == [at, at + HOUR * 36]
    for value in found:
        assert value.status == "forecast"
        assert value.low is not None
        assert value.high is not None
        assert 0 <= value.low < value.intensity_g_per_kwh < value.high


@pytest.mark.parametrize("minutes", [5, 15, 30])
def test_the_step_of_the_history_makes_no_difference(minutes: int) -> None:
    at = START + HOUR * len(LONG)
    expected = levels(forecast_values(values_of(LONG), at, 24))
    found = forecast_values(values_of(LONG, timedelta(minutes=minutes)), at, 24)
    assert levels(found) == pytest.approx(expected)


def test_it_begins_in_the_middle_of_an_hour_and_covers_what_was_asked() -> None:
    at = START + HOUR * len(LONG) + timedelta(minutes=40)
    found = forecast_values(values_of(LONG), at, 2)
    assert [(v.end - v.start) / timedelta(minutes=1) for v in found] == [20, 60, 40]


def test_beyond_the_longest_horizon_the_usual_day_goes_on() -> None:
    found = forecast_values(values_of(LONG), START + HOUR * len(LONG), 200)
    assert len(found) == 200
    assert np.isfinite(levels(found)).all()


def test_two_weeks_make_a_usual_day() -> None:
    found = forecast_values(values_of(LONG[: 24 * 14]), START + HOUR * 24 * 14, 24)
    assert "usual day" in found[0].source
    assert found[5].low is not None


def test_less_than_a_day_persists_without_a_band() -> None:
    found = forecast_values(values_of(np.array([100.0, 150.0])), START + HOUR * 2, 3)
    assert levels(found) == [150.0] * 3
    assert found[0].low is None


def test_no_history_is_an_error() -> None:
    with pytest.raises(CarbonError, match="no intensity before"):
        forecast_values([], START, 3)


def test_fitted_models_are_kept_and_a_broken_file_is_fitted_anew() -> None:
    at = START + HOUR * len(LONG)
    expected = levels(forecast_values(values_of(LONG), at, 24))
    (kept,) = FOLDER.glob("*.npz")
    stamp = kept.stat().st_mtime_ns
    assert levels(forecast_values(values_of(LONG), at, 24)) == expected
    assert kept.stat().st_mtime_ns == stamp
    kept.write_bytes(b"broken")
    assert levels(forecast_values(values_of(LONG), at, 24)) == expected
    assert kept.stat().st_size > 1000
