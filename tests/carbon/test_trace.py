"""Recorded traces: gaps, wrong rows, and forecasts that see only the past."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from lowtide.carbon.trace import TraceSource
from lowtide.errors import CarbonError

START = datetime(2022, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def write(path: Path, values: dict[int, object]) -> Path:
    rows = [f"{(START + HOUR * hour):%Y-%m-%dT%H:%M:%SZ},{value}" for hour, value in values.items()]
    path.write_text("timestamp_utc,gco2_per_kwh\n" + "\n".join(rows) + "\n")
    return path


def test_a_value_holds_until_the_next(tmp_path: Path) -> None:
    source = TraceSource(write(tmp_path / "t.csv", {0: 100, 1: 200, 2: 300}), "Z")
    value = source.current(START + HOUR * 1.9)
    assert (value.intensity_g_per_kwh, value.status) == (200, "measured")


def test_a_gap_is_bridged_for_two_hours_and_then_unknown(tmp_path: Path) -> None:
    source = TraceSource(write(tmp_path / "t.csv", {0: 100, 1: 200, 2: 300, 12: 50}), "Z")
    assert source.current(START + HOUR * 4).status == "estimated"
    with pytest.raises(CarbonError, match="no intensity at 2022-01-01 08:00"):
        source.current(START + HOUR * 8)


@pytest.mark.parametrize("wrong", [-5, "nan", "many", 99999])
def test_an_implausible_value_is_refused_with_its_row(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(CarbonError, match="row 3"):
        TraceSource(write(tmp_path / "t.csv", {0: 100, 1: wrong}), "Z")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CarbonError, match=r"none\.csv"):
        TraceSource(tmp_path / "none.csv", "Z")


def test_a_forecast_does_not_see_the_future(tmp_path: Path) -> None:
    past = {hour: 100 + 10 * (hour % 24) for hour in range(72)}
    changed = {**past, **dict.fromkeys(range(48, 72), 900)}
    at = START + HOUR * 48
    one = TraceSource(write(tmp_path / "a.csv", past), "Z").forecast(at, 24)
    other = TraceSource(write(tmp_path / "b.csv", changed), "Z").forecast(at, 24)
    levels = [value.intensity_g_per_kwh for value in one]
    assert levels == [value.intensity_g_per_kwh for value in other]
    assert levels == pytest.approx([100 + 10 * hour for hour in range(24)])


def test_generation_by_fuel_becomes_shares_of_the_hour_and_the_whole_in_megawatts(
    tmp_path: Path,
) -> None:
    """Half hours of 10 and 30 MWh, a third of it wind; an hour without any is unknown."""
    rows = ["timestamp_utc,gco2_per_kwh,wind_mwh,coal_mwh"]
    energy = [(0, 10), (20, 10), (5, 5), (5, 5), (0, 0), (0, 0)]
    for index, (wind, coal) in enumerate(energy):
        rows.append(f"{(START + HOUR * index / 2):%Y-%m-%dT%H:%M:%SZ},100,{wind},{coal}")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(rows) + "\n")
    drivers = TraceSource(path, "Z").hours().drivers
    assert drivers is not None
    assert drivers.start == START
    assert drivers.seen == pytest.approx(
        np.array([[1 / 3, 2 / 3, 40], [0.5, 0.5, 20], [np.nan, np.nan, 0]]), nan_ok=True
    )


def test_a_trace_without_fuels_has_no_drivers(tmp_path: Path) -> None:
    assert TraceSource(write(tmp_path / "t.csv", {0: 100, 1: 200}), "Z").hours().drivers is None
