"""Forecasts that were issued are scored once what they spoke of has happened."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from lowtide.carbon.forecast.issued import LEADS, IssuedFile
from lowtide.carbon.forecast.values import forecast_values
from lowtide.carbon.signal import IntensityValue
from lowtide.errors import ArtifactError
from tests.carbon.forecast.grids import HOUR, START, values_of

NOW = START + HOUR * 2
PAST = values_of(np.array([100.0, 100.0]))
LATER = values_of(np.array([100.0, 100.0, 110.0, 130.0]))


@pytest.fixture
def issued(tmp_path: Path) -> IssuedFile:
    return IssuedFile(tmp_path / "forecasts.db")


def test_they_are_scored_by_hours_ahead(issued: IssuedFile) -> None:
    issued.record(forecast_values(PAST, NOW, 6), NOW)
    scores = issued.score("Z", LATER)
    assert [(row["hours_ahead"], row["num"], row["mae"]) for row in scores] == [
        (1, 1, pytest.approx(10)), (2, 1, pytest.approx(30)),
    ]  # fmt: skip
    assert issued.first_start("Z") == NOW


def test_one_an_hour_is_kept(issued: IssuedFile) -> None:
    for minutes in (0, 20, 59, 60):
        at = NOW + timedelta(minutes=minutes)
        issued.record(forecast_values(PAST, at, 6), at)
    assert [row["num"] for row in issued.score("Z", LATER)] == [2, 1]


def test_what_has_not_happened_is_not_scored(issued: IssuedFile) -> None:
    issued.record(forecast_values(PAST, NOW, 6), NOW)
    assert issued.score("Z", PAST) == []
    assert issued.score("Z", []) == []
    assert issued.first_start("elsewhere") is None


def test_a_band_is_as_wide_as_four_errors_in_five(issued: IssuedFile) -> None:
    """Hours ahead with too few errors have none."""
    actual = np.full(24 * 7, 200.0)
    errors = np.random.default_rng(0).uniform(-50, 50, len(actual))
    for hour in range(len(actual) - 1):
        issued.record(told(hour, actual[hour] + errors[hour]), START + HOUR * hour)
    widths = issued.half_widths("Z", "told", values_of(actual), START + HOUR * len(actual))
    assert widths[1] == pytest.approx(40, abs=6)
    assert widths.shape == (LEADS[-1] + 1,)
    assert np.isnan(widths[LEADS[0] + 1 :]).all()


def told(hour: int, level: float) -> Sequence[IntensityValue]:
    at = START + HOUR * hour
    return [IntensityValue("Z", at, at + HOUR, level, "average", "forecast", "told", issued_at=at)]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "forecasts.db"
    path.write_text("nonsense" * 200)
    with pytest.raises(ArtifactError, match=r"forecasts\.db cannot be used"):
        IssuedFile(path).record(forecast_values(PAST, NOW, 6), NOW)


def test_of_several_that_are_issued_at_once_one_is_kept(tmp_path: Path) -> None:
    path, forecast = tmp_path / "forecasts.db", forecast_values(PAST, NOW, 6)
    IssuedFile(path).score("Z", LATER)  # the file is there
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: IssuedFile(path).record(forecast, NOW), range(16)))
    assert [row["num"] for row in IssuedFile(path).score("Z", LATER)] == [1, 1]


def test_details_of_single_values_do_not_make_it_another_source(issued: IssuedFile) -> None:
    first = replace(told(0, 100.0)[0], source="API, last value carried on, ridge")
    issued.record([first], START)
    issued.record([replace(told(1, 100.0)[0], source="API, ridge")], START + HOUR)
    scores = issued.score("Z", LATER)
    assert [(row["source"], row["num"]) for row in scores] == [("API, ridge", 2)]
