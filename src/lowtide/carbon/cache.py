"""Parsed answers on disk: asked once by all threads and processes, kept until they are old.

A file for each question, `<source>-<route>-<digest>.json`, and one beside it for a question that
failed of late. Tokens are part of neither. A broken file counts as none.
"""

import contextlib
import hashlib
import json
import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock, Timeout

from lowtide.artifacts import write_text
from lowtide.carbon import failures
from lowtide.carbon.failures import AwayError, FetchError, RefusedError
from lowtide.carbon.rows import Codec
from lowtide.carbon.ttl import AWAY_TTL_S, JITTER, REFUSED_TTL_S
from lowtide.carbon.wall import Wall
from lowtide.errors import ArtifactError, CarbonError

SCHEMA = 1
FLIGHT_S = 120.0  # as long as one process may take to ask for all
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Query:
    """What was asked, without secrets; times in it are floored by the caller."""

    source: str
    route: str
    params: tuple[tuple[str, str], ...]

    def slug(self) -> str:
        text = json.dumps([SCHEMA, self.source, self.route, sorted(self.params)])
        return f"{self.source}-{self.route}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def to_json(self) -> list[Any]:
        return [self.source, self.route, sorted([name, value] for name, value in self.params)]


@dataclass(frozen=True)
class Entry(Generic[T]):
    fetched_at: datetime
    expires_at: datetime
    rows: tuple[T, ...]


class DiskCache(Generic[T]):
    """`codec` turns a row into JSON and back; `folder` is made when the first answer comes."""

    def __init__(
        self, folder: Path, codec: Codec[T], wall: Wall, rng: random.Random | None = None
    ) -> None:
        self._folder, self._codec, self._wall = folder, codec, wall
        self._rng = rng or random.Random()
        self._read_before: dict[Path, tuple[int, Entry[T] | None]] = {}
        self._refused: dict[str, tuple[datetime, FetchError]] = {}
        self._lock = threading.Lock()

    def fetch(self, query: Query, ttl_s: float, load: Callable[[], Sequence[T]]) -> tuple[T, ...]:
        """The fresh rows on disk, else those of `load`, which runs once for all who ask.

        Raises:
            FetchError: `load` failed, now or a short while ago.
        """
        if (entry := self._fresh(query)) is not None:
            return entry.rows
        with self._flight(query):
            if (entry := self._fresh(query)) is not None:
                return entry.rows
            try:
                rows = tuple(load())
            except FetchError as error:
                self._remember(query, error)
                raise
            self._store(query, rows, ttl_s)
            return rows

    def peek(self, query: Query) -> Entry[T] | None:
        """The last good answer, however old."""
        path = self._path(query)
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return None
        before = self._read_before.get(path)
        if before is None or before[0] != stamp:
            before = stamp, self._read(path, query)
            self._read_before[path] = before
        return before[1]

    def _fresh(self, query: Query) -> Entry[T] | None:
        now = self._wall.now()
        entry = self.peek(query)
        # From the future: the clock was set back, and nobody knows how old it is.
        if entry is not None and entry.fetched_at <= now < entry.expires_at:
            return entry
        if (error := self._failure(query, now)) is not None:
            raise error
        return None

    def _path(self, query: Query) -> Path:
        return self._folder / f"{query.slug()}.json"

    def _failure_path(self, query: Query) -> Path:
        return self._folder / f"{query.slug()}.failed.json"

    def _read(self, path: Path, query: Query) -> Entry[T] | None:
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["schema"] != SCHEMA or content["query"] != query.to_json():
                return None
            fetched_at = datetime.fromisoformat(content["fetched_at"])
            expires_at = datetime.fromisoformat(content["expires_at"])
            rows = tuple(self._codec.decode(row) for row in content["rows"])
        except (OSError, ValueError, KeyError, TypeError, CarbonError, RecursionError):
            log.info("%s is broken and counts as absent", path)
            return None
        if fetched_at.tzinfo is None or expires_at.tzinfo is None:
            return None
        return Entry(fetched_at, expires_at, rows)

    def _store(self, query: Query, rows: tuple[T, ...], ttl_s: float) -> None:
        now = self._wall.now()
        content = {
            "schema": SCHEMA,
            "query": query.to_json(),
            "fetched_at": now.isoformat(),
            "expires_at": (now + self._jittered(ttl_s)).isoformat(),
            "rows": [self._codec.encode(row) for row in rows],
        }
        self._write(self._path(query), content)
        self._refused.pop(query.slug(), None)
        with contextlib.suppress(OSError):
            self._failure_path(query).unlink(missing_ok=True)

    def _remember(self, query: Query, error: FetchError) -> None:
        away = isinstance(error, AwayError)
        until = self._wall.now() + self._jittered(AWAY_TTL_S if away else REFUSED_TTL_S)
        if isinstance(error, RefusedError):
            # In this process only: the next may come with a better token.
            self._refused[query.slug()] = until, error
            return
        content = {
            "schema": SCHEMA,
            "query": query.to_json(),
            "failed_at": self._wall.now().isoformat(),
            "until": until.isoformat(),
            "type": type(error).__name__,
            "message": str(error),
        }
        self._write(self._failure_path(query), content)

    def _failure(self, query: Query, now: datetime) -> FetchError | None:
        until, error = self._refused.get(query.slug(), (now, None))
        if error is not None and now < until:
            return error
        try:
            content = json.loads(self._failure_path(query).read_text("utf-8"))
            since = datetime.fromisoformat(content["failed_at"])
            until = datetime.fromisoformat(content["until"])
            fresh = content["schema"] == SCHEMA and since <= now < until
            kinds = {"AwayError", "NoDataError", "FormatError"} & {content["type"]}
            message = str(content["message"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if not fresh or not kinds:
            return None
        found: FetchError = getattr(failures, kinds.pop())(f"{message} (at {since:%H:%M} UTC)")
        return found

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        try:
            write_text(path, json.dumps(content, allow_nan=False))
        except ArtifactError as error:
            log.warning("an answer is not kept: %s", error)

    def _jittered(self, seconds: float) -> timedelta:
        return timedelta(seconds=seconds * (1 + self._rng.uniform(-JITTER, JITTER)))

    @contextlib.contextmanager
    def _flight(self, query: Query) -> Iterator[None]:
        """One at a time for one question, over threads and processes."""
        lock = FileLock(self._folder / f"{query.slug()}.lock")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=FLIGHT_S)
        except Timeout:
            raise AwayError(f"{query.source} {query.route} is being asked for too long") from None
        except OSError:
            # A disk that cannot be written: everyone asks for himself.
            with self._lock:
                yield
            return
        try:
            yield
        finally:
            lock.release()
