"""Recorded traces: files, gaps, wrong rows, and forecasts that see only the past."""

import gzip
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
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


HEADER = "timestamp_utc,gco2_per_kwh"
TWO_HOURS = f"{HEADER}\n2022-01-01T00:00:00Z,100\n2022-01-01T01:00:00Z,200\n"


def levels(path: Path) -> list[float]:
    """Of the first two hours, each of which the file knows."""
    values = TraceSource(path, "Z").history(START, START + HOUR * 2)
    assert [value.start for value in values] == [START, START + HOUR]
    return [value.intensity_g_per_kwh for value in values]


@pytest.mark.parametrize(
    "text",
    [
        TWO_HOURS,
        "\ufeff" + TWO_HOURS,
        TWO_HOURS.replace("\n", "\r\n"),
        TWO_HOURS.replace("\n", "\n\n"),
        TWO_HOURS.replace("T", " ").replace("Z", ""),
        TWO_HOURS.replace("T00", "T02").replace("T01", "T03").replace("Z", "+02:00"),
        TWO_HOURS.replace("100", '"100"'),
        f"{HEADER}\n2022-01-01T01:00:00Z,200\n2022-01-01T00:00:00Z,100\n",
        TWO_HOURS + "2022-01-01T01:00:00Z,200\n",
        f"zone,{HEADER}\nZ,2022-01-01,1e2\nZ,2022-01-01T01:00:00.000Z,200.0\n",
    ],
)
def test_a_csv_file_is_read_as_people_write_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert levels(tmp_path / "t.csv") == levels(tmp_path / "t.csv.gz") == [100, 200]


@pytest.mark.parametrize("instants", [["2022-01-01T00:00Z", "2022-01-01T01:00Z"], [0, 1]])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_a_parquet_file_is_read_as_people_write_it(
    tmp_path: Path, instants: list[object], zone: str | None
) -> None:
    times: object = instants
    if instants == [0, 1]:  # as times instead of text
        times = pd.DatetimeIndex([START, START + HOUR]).tz_convert(zone)
    path = tmp_path / "t.parquet"
    pd.DataFrame({"timestamp_utc": times, "gco2_per_kwh": [100, 200]}).to_parquet(path)
    assert levels(path) == [100, 200]


def test_generation_that_is_no_number_is_unknown_in_either_format(tmp_path: Path) -> None:
    """A row may also end before it; then its hour has no shares."""
    rows = ["00:00,100,1,3", "01:00,100,,3", "02:00,100,n/a,3", "03:00,100", "04:00,100,2,2"]
    text = "\n".join([f"{HEADER},wind_mwh,coal_mwh", *(f"2022-01-01T{row}" for row in rows)])
    (tmp_path / "t.csv").write_text(text)
    pd.read_csv(tmp_path / "t.csv").to_parquet(tmp_path / "t.parquet")
    nothing = [np.nan] * 3
    for name in ("t.csv", "t.parquet"):
        drivers = TraceSource(tmp_path / name, "Z").hours().drivers
        assert drivers is not None
        expected = [[0.25, 0.75, 4], nothing, nothing, nothing, [0.5, 0.5, 4]]
        assert drivers.seen == pytest.approx(np.array(expected), nan_ok=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no column timestamp_utc; it has none"),
        (b"when,gco2_per_kwh\n", "has no column timestamp_utc; it has when, gco2_per_kwh"),
        (b"timestamp_utc,level\n", "has no column gco2_per_kwh; it has timestamp_utc, level"),
        (HEADER.encode() + b"\n\n", "has no rows"),
        (TWO_HOURS.encode() + b"2022-01-01T02:00:00Z,3,4\n", "row 4 has 3 values for 2 columns"),
        (TWO_HOURS.encode() + b"2022-01-01T02:00:00Z\n", "row 4: 2022-01-01T02:00:00Z,  is no"),
        (TWO_HOURS.encode() + b"yesterday,3\n", "row 4: yesterday, 3 is no intensity"),
        (TWO_HOURS.encode() + b"1640995200,3\n", "row 4: 1640995200, 3 is no intensity"),
        (TWO_HOURS.encode() + b"2022-01-01T01:00Z,3\n", "two different values for 2022-01-01 01"),
        (TWO_HOURS.encode() + b'"2022-01-01T02:00:00Z,3\n', "cannot be read as a trace"),
        (b"\xff\xfe" + TWO_HOURS.encode("utf-16-le"), "cannot be read as a trace"),
    ],
)
def test_a_csv_file_that_is_no_trace_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(content))
    for name in ("t.csv", "t.csv.gz"):
        with pytest.raises(CarbonError, match=said):
            TraceSource(tmp_path / name, "Z")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv.gz", TWO_HOURS.encode()),
        ("t.csv.gz", gzip.compress(TWO_HOURS.encode())[:-9]),
        ("t.csv.gz", gzip.compress(TWO_HOURS.encode())[:10] + b"\xff" * 30),
        ("t.parquet", TWO_HOURS.encode()),
    ],
    ids=["not-gz", "cut", "damaged", "not-parquet"],
)
def test_a_file_that_is_damaged_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CarbonError, match=f"{name} cannot be read as a trace"):
        TraceSource(tmp_path / name, "Z")


@pytest.mark.parametrize("wrong", [None, -5.0])
def test_a_wrong_row_of_a_parquet_file_is_named(tmp_path: Path, wrong: float | None) -> None:
    path = tmp_path / "t.parquet"
    table = pd.DataFrame({"timestamp_utc": [START, START + HOUR], "gco2_per_kwh": [100, wrong]})
    table.to_parquet(path)
    with pytest.raises(CarbonError, match="row 3: 2022-01-01T01"):
        TraceSource(path, "Z")
    table.assign(timestamp_utc=[START, None], gco2_per_kwh=1.0).to_parquet(path)
    with pytest.raises(CarbonError, match=r"row 3: NaT, 1\.0"):
        TraceSource(path, "Z")


def test_a_csv_file_is_read_without_what_makes_a_process_large(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lowtide.carbon.trace import TraceSource;"
        "TraceSource(Path(sys.argv[1]), 'Z');"
        "print(*{'pandas', 'pyarrow', 'scipy', 'numpy.ma'} & sys.modules.keys())"
    )
    path = write(tmp_path / "t.csv", {0: 100, 1: 200})
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "\n"
