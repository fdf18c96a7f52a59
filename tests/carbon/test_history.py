"""Gathered history: grows, is corrected, stays of one signal, and survives a broken file."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from lowtide.carbon.history import HistoryFile
from lowtide.carbon.signal import IntensityValue

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def value(hour: float, level: float = 100.0, hours: float = 1.0) -> IntensityValue:
    start = START + HOUR * hour
    return IntensityValue(
        "DE", start, start + HOUR * hours, level, "average", "measured", "Energy-Charts",
        "lifecycle", fetched_at=START,
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.json"


def test_what_is_added_at_different_times_comes_back_together(path: Path) -> None:
    HistoryFile(path).add([value(1), value(0)], START + HOUR * 10)
    HistoryFile(path).add([value(3)], START + HOUR * 10)
    assert HistoryFile(path).read() == [value(0), value(1), value(3)]


def test_the_future_and_forecasts_stay_out(path: Path) -> None:
    history = HistoryFile(path)
    history.add([value(0), value(5), replace(value(1), status="forecast")], START + HOUR * 2)
    assert history.read() == [value(0)]


def test_a_later_figure_corrects_but_an_estimate_does_not_replace_a_measurement(
    path: Path,
) -> None:
    history, now = HistoryFile(path), START + HOUR * 10
    guess = replace(value(0, 80), status="estimated", source="Energy-Charts, guessed")
    history.add([guess], now)
    history.add([value(0, 120)], now)
    history.add([guess], now)
    assert history.read() == [value(0, 120)]
    history.add([value(0, 125)], now)
    assert history.read() == [value(0, 125)]


def test_an_unchanged_history_is_not_written_again(path: Path) -> None:
    history = HistoryFile(path)
    history.add([value(0)], START + HOUR * 10)
    before = path.stat().st_mtime_ns
    history.add([replace(value(0), fetched_at=START + HOUR)], START + HOUR * 11)
    assert path.stat().st_mtime_ns == before


def test_what_two_have_written_is_seen_by_both(path: Path) -> None:
    one, other, now = HistoryFile(path), HistoryFile(path), START + HOUR * 10
    one.add([value(0)], now)
    assert other.read() == [value(0)]
    other.add([value(1)], now)
    assert other.read() == [value(0), value(1)]
    one.add([value(2)], now)
    assert one.read() == other.read() == [value(0), value(1), value(2)]


def test_a_part_of_it(path: Path) -> None:
    history = HistoryFile(path)
    history.add([value(h) for h in range(6)], START + HOUR * 10)
    found = history.between(START + HOUR * 0.5, START + HOUR * 4.5)
    assert found == [value(1), value(2), value(3)]


def test_400_days_are_kept(path: Path) -> None:
    history = HistoryFile(path)
    history.add([value(0), value(24 * 10)], START + timedelta(days=405))
    assert history.read() == [value(24 * 10)]


def test_a_new_model_begins_a_new_history(path: Path) -> None:
    history, now = HistoryFile(path), START + HOUR * 10
    old = [replace(value(h), source="WattTime MOER 2022-01-01") for h in range(3)]
    new = [replace(value(h), source="WattTime MOER 2023-03-01") for h in range(3, 5)]
    marked = replace(value(5), source="WattTime MOER 2023-03-01, from imputed data")
    history.add([*old, *new, marked], now)
    assert history.read() == [*new, marked]


def test_a_finer_step_does_not_overlap_a_coarser(path: Path) -> None:
    history, now = HistoryFile(path), START + HOUR * 10
    history.add([value(0), value(1)], now)
    history.add([value(0.5, 90, 0.5), value(1, 95, 0.5)], now)
    values = history.read()
    assert all(a.end <= b.start for a, b in pairwise(values))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 7}', '{"schema": 1, "rows": [[1]]}'])
def test_a_broken_file_is_begun_anew(path: Path, text: str) -> None:
    path.write_text(text)
    history = HistoryFile(path)
    assert history.read() == []
    history.add([value(0)], START + HOUR * 10)
    assert HistoryFile(path).read() == [value(0)]


def test_a_folder_that_cannot_be_made_is_only_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    HistoryFile(tmp_path / "file" / "history.json").add([value(0)], START + HOUR * 10)
    assert "is not kept" in caplog.text
