"""The last good model of each alias on disk, for when the registry is away at start."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lowtide.artifacts import read_json, write_json
from lowtide.errors import ArtifactError
from lowtide.serving.model import Figures
from lowtide.serving.registered import Entry


class KeptModels:
    """`folder/ALIAS/last.json` names the last good file beside it; it is written last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, alias: str, entry: Entry) -> Path:
        return self._folder / alias / f"{entry.version}-{(entry.sha256 or 'unknown')[:12]}.onnx"

    def last(self, alias: str) -> tuple[Path, Entry] | None:
        """None where there is none, or its note is broken."""
        try:
            content: dict[str, Any] = read_json(self._note(alias))
            figures = Figures(**content["figures"])
            entry = Entry(content["version"], content["sha256"], figures)
        except (ArtifactError, KeyError, TypeError):
            return None
        return self.path(alias, entry), entry

    def keep(self, alias: str, entry: Entry) -> None:
        """From now on this is the last good one; files of earlier ones go."""
        write_json(self._note(alias), asdict(entry))
        kept = self.path(alias, entry)
        for old in kept.parent.glob("*.onnx"):
            if old != kept:
                old.unlink(missing_ok=True)

    def _note(self, alias: str) -> Path:
        return self._folder / alias / "last.json"
