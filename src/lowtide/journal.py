"""What is to be recorded, on disk first: one append-only file of JSON lines per run.

`<key>.jsonl` holds the entries, `<key>.sent` how many of them have reached the server and under
which run id. A line torn by a kill is not an entry.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lowtide.artifacts import write_json

Entry = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    num_entries: int = 0
    run_id: str | None = None


class Journal:
    def __init__(self, folder: Path, key: str) -> None:
        self.key = key
        self._entries, self._sent = folder / f"{key}.jsonl", folder / f"{key}.sent"
        self._files = folder / key
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(folder / f".{key}.lock")

    def append(self, kind: str, **content: Any) -> None:
        """One write, so that several processes may append."""
        line = json.dumps({"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content}) + "\n"
        descriptor = os.open(self._entries, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def keep_file(self, path: Path) -> Path:
        """A copy that stays as it is until it is sent."""
        self._files.mkdir(exist_ok=True)
        return Path(shutil.copy2(path, self._files / f"{time.time_ns()}-{path.name}"))

    def entries(self) -> list[Entry]:
        if not self._entries.exists():
            return []
        return list(_whole_lines(self._entries.read_text(encoding="utf-8")))

    def sent(self) -> Sent:
        if not self._sent.exists():
            return Sent()
        return Sent(**json.loads(self._sent.read_text(encoding="utf-8")))

    def mark_sent(self, num_entries: int, run_id: str) -> None:
        write_json(self._sent, {"num_entries": num_entries, "run_id": run_id})

    def num_unsent(self) -> int:
        return max(len(self.entries()) - self.sent().num_entries, 0)

    def forget_files(self) -> None:
        shutil.rmtree(self._files, ignore_errors=True)


def _whole_lines(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def all_journals(folder: Path) -> list[Journal]:
    """Oldest first, so that a pipeline run comes before its stages."""
    files = sorted(folder.glob("*.jsonl"), key=lambda file: (file.stat().st_ctime, file.name))
    return [Journal(folder, file.stem) for file in files]
