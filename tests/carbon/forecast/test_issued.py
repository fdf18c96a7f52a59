"""Forecasts that were issued are scored once what they spoke of has happened."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from lowtide.carbon.forecast.issued import record, score
from lowtide.carbon.forecast.values import forecast_values
from lowtide.carbon.signal import IntensityValue
from tests.carbon.forecast.grids import HOUR, START, values_of


class Past:
    zone = "Z"
    name = "test"

    def __init__(self, values: list[IntensityValue]) -> None:
        self._values = values

    def current(self, at: datetime) -> IntensityValue:
        return next(value for value in self._values if value.start <= at < value.end)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return [value for value in self._values if start <= value.start and value.end <= end]

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        return forecast_values(self.history(START, at), at, hours)


def test_issued_forecasts_are_scored_by_hours_ahead(tmp_path: Path) -> None:
    source = Past(values_of(np.array([100.0, 100.0, 110.0, 130.0])))
    at = START + HOUR * 2
    record(source.forecast(at, 6), at, tmp_path / "issued.db")
    record(source.forecast(at, 6), at, tmp_path / "issued.db")
    scores = score(source, START + HOUR * 4, tmp_path / "issued.db")
    assert [(row["hours_ahead"], row["num"], row["mae"]) for row in scores] == [
        (1, 1, pytest.approx(10)), (2, 1, pytest.approx(30)),
    ]  # fmt: skip


def test_what_has_not_happened_is_not_scored(tmp_path: Path) -> None:
    source = Past(values_of(np.array([100.0, 100.0])))
    record(source.forecast(START + HOUR * 2, 6), START + HOUR * 2, tmp_path / "issued.db")
    assert score(source, START + HOUR * 2, tmp_path / "issued.db") == []
