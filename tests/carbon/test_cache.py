"""The disk cache: asked once, fresh for its time, and never hurt by what lies on the disk."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lowtide.carbon.cache import DiskCache, Query
from lowtide.carbon.failures import (
    AwayError,
    FetchError,
    FormatError,
    NoDataError,
    RefusedError,
)
from lowtide.carbon.rows import INTENSITY
from lowtide.carbon.signal import IntensityValue
from lowtide.carbon.ttl import TTL_S, ttl_s
from tests.carbon.fakes.wall import FakeWall

QUERY = Query("gb", "latest", (("zone", "GB"),))
Cache = DiskCache[IntensityValue]


class Source:
    """Counts how often it is asked."""

    def __init__(self, start: datetime, error: FetchError | None = None) -> None:
        self.start, self.error = start, error
        self.calls = 0

    def __call__(self) -> list[IntensityValue]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        end = self.start + timedelta(hours=1)
        return [
            IntensityValue("GB", self.start, end, 123.5, "average", "measured", "test",
                           "operational", issued_at=None, fetched_at=self.start)
        ]  # fmt: skip


@pytest.fixture
def source(wall: FakeWall) -> Source:
    return Source(wall.now())


@pytest.fixture
def make(tmp_path: Path, wall: FakeWall) -> Callable[[], Cache]:
    """A cache over the same folder, as another process would have it."""
    return lambda: DiskCache(tmp_path, INTENSITY, wall, random.Random(0))


def test_a_fresh_answer_is_not_asked_for_again(
    make: Callable[[], Cache], source: Source, wall: FakeWall
) -> None:
    first = make().fetch(QUERY, 600, source)
    wall.forward(timedelta(seconds=530))
    assert make().fetch(QUERY, 600, source) == first
    assert source.calls == 1
    assert first == tuple(source())


def test_an_old_answer_is(make: Callable[[], Cache], source: Source, wall: FakeWall) -> None:
    make().fetch(QUERY, 600, source)
    wall.forward(timedelta(seconds=670))
    make().fetch(QUERY, 600, source)
    assert source.calls == 2


def test_expiry_is_spread_by_a_tenth(tmp_path: Path, wall: FakeWall, source: Source) -> None:
    lasts = []
    for seed in range(40):
        cache = DiskCache(tmp_path / str(seed), INTENSITY, wall, random.Random(seed))
        cache.fetch(QUERY, 600, source)
        entry = cache.peek(QUERY)
        assert entry is not None
        lasts.append((entry.expires_at - entry.fetched_at).total_seconds())
    assert 540 <= min(lasts) < 560 < 640 < max(lasts) <= 660


def test_questions_are_told_apart(make: Callable[[], Cache], source: Source) -> None:
    for query in (
        QUERY,
        Query("gb", "forecast", (("zone", "GB"),)),
        Query("gb", "latest", (("zone", "GB-1"),)),
    ):
        make().fetch(query, 600, source)
    assert source.calls == 3
    swapped = Query("x", "y", (("b", "2"), ("a", "1")))
    assert swapped.slug() == Query("x", "y", (("a", "1"), ("b", "2"))).slug()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda text: text[: len(text) // 2],
        lambda _: "[]",
        lambda _: "[" * 100_000,
        lambda text: text.replace('"schema": 1', '"schema": 99'),
        lambda text: text.replace("123.5", "NaN"),
        lambda text: text.replace("123.5", "-1"),
        lambda text: text.replace("average", "mean"),
        lambda text: text.replace('"GB"', '"FR"', 1),
        lambda text: text.replace("+00:00", ""),
        lambda text: text.replace('"end"', '"finish"'),
    ],
)
def test_a_broken_file_counts_as_none(
    make: Callable[[], Cache], source: Source, tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    right = make().fetch(QUERY, 600, source)
    path = tmp_path / f"{QUERY.slug()}.json"
    path.write_text(spoil(path.read_text()))
    assert make().fetch(QUERY, 600, source) == right
    assert source.calls == 2


def test_an_answer_from_the_future_is_not_fresh(
    make: Callable[[], Cache], source: Source, wall: FakeWall
) -> None:
    make().fetch(QUERY, 600, source)
    wall.set_back(timedelta(hours=1))
    make().fetch(QUERY, 600, source)
    assert source.calls == 2


@pytest.mark.parametrize("kind", [NoDataError, FormatError])
def test_that_there_is_nothing_is_remembered(
    make: Callable[[], Cache], wall: FakeWall, kind: type[FetchError]
) -> None:
    source = Source(wall.now(), kind("nothing here"))
    for _ in range(3):
        with pytest.raises(kind, match="nothing here"):
            make().fetch(QUERY, 600, source)
    assert source.calls == 1
    wall.forward(timedelta(minutes=9))
    with pytest.raises(kind):
        make().fetch(QUERY, 600, source)
    assert source.calls == 2


def test_an_outage_is_remembered_for_a_minute(make: Callable[[], Cache], wall: FakeWall) -> None:
    source = Source(wall.now(), AwayError("no answer"))
    for _ in range(2):
        with pytest.raises(AwayError):
            make().fetch(QUERY, 600, source)
    assert source.calls == 1
    wall.forward(timedelta(seconds=70))
    source.error = None
    assert make().fetch(QUERY, 600, source)


def test_a_refusal_is_forgotten_by_the_next_process_for_its_token_may_be_right(
    make: Callable[[], Cache], wall: FakeWall, tmp_path: Path
) -> None:
    source, cache = Source(wall.now(), RefusedError("bad token", 401)), make()
    for _ in range(2):
        with pytest.raises(RefusedError):
            cache.fetch(QUERY, 600, source)
    assert source.calls == 1
    source.error = None
    assert make().fetch(QUERY, 600, source)
    assert not list(tmp_path.glob("*.failed.json"))


def test_a_failure_leaves_the_last_good_answer(
    make: Callable[[], Cache], source: Source, wall: FakeWall
) -> None:
    right = make().fetch(QUERY, 600, source)
    wall.forward(timedelta(hours=1))
    source.error = AwayError("no answer")
    with pytest.raises(AwayError):
        make().fetch(QUERY, 600, source)
    entry = make().peek(QUERY)
    assert entry is not None
    assert entry.rows == right


def test_threads_that_ask_together_ask_once(make: Callable[[], Cache], wall: FakeWall) -> None:
    source = Source(wall.now())

    def slowly() -> list[IntensityValue]:
        time.sleep(0.1)
        return source()

    caches, found = [make(), make()], []
    threads = [
        threading.Thread(target=lambda c=c: found.append(c.fetch(QUERY, 600, slowly)))
        for c in caches * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found)), source.calls) == (8, 1, 1)


ASK = """
import sys, time
from pathlib import Path
from lowtide.carbon.cache import DiskCache, Query
from lowtide.carbon.rows import INTENSITY
from lowtide.carbon.wall import SystemWall

def load():
    with open(sys.argv[2], "a") as file:
        file.write("asked\\n")
    time.sleep(0.5)
    return []

query = Query("gb", "latest", (("zone", "GB"),))
DiskCache(Path(sys.argv[1]), INTENSITY, SystemWall()).fetch(query, 600, load)
"""


def test_processes_that_ask_together_ask_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", ASK, str(tmp_path), str(log)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert log.read_text() == "asked\n"


def test_a_folder_that_cannot_be_made_costs_the_cache_not_the_answer(
    tmp_path: Path, wall: FakeWall, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = DiskCache(tmp_path / "file" / "carbon", INTENSITY, wall)
    assert cache.fetch(QUERY, 600, source)
    assert "is not kept" in caplog.text


def test_what_is_written_is_whole_json_and_nothing_else_stays(
    make: Callable[[], Cache], source: Source, tmp_path: Path
) -> None:
    make().fetch(QUERY, 600, source)
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {f"{QUERY.slug()}.json", f"{QUERY.slug()}.lock"}
    content = json.loads((tmp_path / f"{QUERY.slug()}.json").read_text())
    assert content["query"] == ["gb", "latest", [["zone", "GB"]]]


def test_gb_is_fresh_until_just_after_the_half_hour(wall: FakeWall) -> None:
    assert ttl_s("gb", "latest", wall.now()) == 20 * 60 + 210  # it is 12:10
    for minute in range(30):
        at = wall.now().replace(minute=minute)
        assert 0.9 * ttl_s("gb", "latest", at) > (30 - minute) * 60
    assert {name: set(table) for name, table in TTL_S.items()} == {
        name: {"latest", "history", "forecast"}
        for name in ("energy-charts", "electricity-maps", "watttime", "carbon-aware-sdk")
    }
