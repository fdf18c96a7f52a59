"""What is to be recorded, on disk first: one append-only file of JSON lines per run.

`<key>.jsonl` holds the entries; `<key>.sent` how many bytes of it have reached which store, under
which run id. A line torn by a kill or a full disk is not an entry and harms no other.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lowtide.artifacts import write_json
from lowtide.errors import ArtifactError

Entry = dict[str, Any]
AWAY = "away"  # exists while the server cannot be reached; says why


@dataclass(frozen=True)
class Sent:
    num_bytes: int = 0
    run_id: str | None = None
    store: str | None = None


class Journal:
    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self._entries, self._sent = folder / f"{key}.jsonl", folder / f"{key}.sent"
        self._files = folder / key
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(folder / f".{key}.lock")

    def append(self, kind: str, **content: Any) -> None:
        """One write, so that several processes may append."""
        entry = {"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content}
        line = json.dumps(entry).encode() + b"\n"
        with self._writing():
            descriptor = os.open(self._entries, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                os.write(descriptor, b"\n" + line if torn else line)
            finally:
                os.close(descriptor)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactError(
                f"the record {self._entries} cannot be written: {error.strerror or error}"
            ) from None

    def keep_file(self, path: Path) -> Path:
        """A copy that stays as it is until it is sent."""
        with self._writing():
            self._files.mkdir(exist_ok=True)
            return Path(shutil.copy2(path, self._files / f"{time.time_ns()}-{path.name}"))

    def entries(self, start: int = 0) -> list[tuple[Entry, int]]:
        """Each entry from byte `start` on, with the position behind it."""
        if not self._entries.exists():
            return []
        with self._entries.open("rb") as file:
            file.seek(start)
            return list(_whole_lines(file.read(), start))

    def sent(self) -> Sent:
        """How far sending has come; a note that cannot be read counts as none: sent again."""
        if not self._sent.exists():
            return Sent()
        try:
            return Sent(**json.loads(self._sent.read_text(encoding="utf-8")))
        except (TypeError, ValueError):
            return Sent()

    def mark_sent(self, sent: Sent) -> None:
        write_json(self._sent, asdict(sent))

    def has_unsent(self) -> bool:
        return self._entries.exists() and self._entries.stat().st_size > self.sent().num_bytes

    def num_unsent(self) -> int:
        return len(self.entries(self.sent().num_bytes))

    def forget_files(self) -> None:
        shutil.rmtree(self._files, ignore_errors=True)

    def forget(self) -> None:
        self.forget_files()
        self._entries.unlink(missing_ok=True)
        self._sent.unlink(missing_ok=True)

    @property
    def age_s(self) -> float:
        """Since the last entry."""
        return time.time() - self._entries.stat().st_mtime


def _whole_lines(content: bytes, position: int) -> Iterator[tuple[Entry, int]]:
    for line in content.splitlines(keepends=True):
        position += len(line)
        if not line.endswith(b"\n"):
            return
        try:
            yield json.loads(line), position
        except ValueError:
            continue


def all_journals(folder: Path) -> list[Journal]:
    return [Journal(folder, file.stem) for file in sorted(folder.glob("*.jsonl"))]


def is_away(folder: Path) -> bool:
    return (folder / AWAY).exists()
