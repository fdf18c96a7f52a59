"""A seeded series that behaves as a grid does: a day, a week, and weather that persists."""

from datetime import UTC, datetime, timedelta

import numpy as np

from lowtide.carbon.signal import IntensityValue

START = datetime(2022, 1, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


def grid_series(num: int, seed: int = 0) -> np.ndarray:
    """g/kWh by the hour: a daily wave, lower weekends, and errors with a memory of a day."""
    generator = np.random.default_rng(seed)
    hours = np.arange(num)
    weather = np.zeros(num)
    shocks = generator.normal(0, 8, num)
    for hour in range(1, num):
        weather[hour] = 0.96 * weather[hour - 1] + shocks[hour]
    day = 40 * np.sin(2 * np.pi * hours / 24) - 20 * (hours // 24 % 7 >= 5)
    return np.maximum(220 + day + weather, 5.0)


def values_of(series: np.ndarray, step: timedelta = HOUR) -> list[IntensityValue]:
    """The same hours as values of any step that divides the hour."""
    parts = round(HOUR / step)
    return [
        IntensityValue(
            "Z", START + step * index, START + step * (index + 1), float(series[index // parts]),
            "average", "measured", "test",
        )
        for index in range(len(series) * parts)
    ]  # fmt: skip
