"""A registry with a champion and a challenger, and what must hold whenever a promotion dies."""

from dataclasses import dataclass
from pathlib import Path

from lowtide.artifacts import CHAMPION_ONNX, file_sha256
from lowtide.registry import CANDIDATE, CHAMPION, MODEL, champion_version, fetch_champion, history
from lowtide.registry.client import SHA256
from lowtide.registry.lock import LOCK
from tests.registry.killed import Point, Promotion, killed_at
from tests.registry.stores import client_of, put, version_of, write_model


@dataclass(frozen=True)
class Contest:
    """Version 1 is champion; `challenger` has passed against it."""

    store: str
    champion: Path
    challenger: Path

    @classmethod
    def begun(cls, store: str, folder: Path, registered: bool) -> "Contest":
        """registered: the challenger is a version already, so that a promotion is its moves alone;
        it was sent back, since it had been judged against nobody."""
        champion = write_model(folder / "champion.onnx", 0.0)
        challenger = write_model(folder / "challenger.onnx", 1.0)
        put(store, champion, passed=True)
        if registered:
            put(store, challenger, passed=True)
        return cls(store, champion, challenger)

    def promotion(self) -> Promotion:
        return Promotion(self.store, self.challenger, self.champion)

    def require_survives(self, point: Point) -> bool:
        """The old champion serves or the new one, its file as it was registered; the candidate is
        a whole version; the history says so; and the next promotion ends the matter. False where
        the promotion was through before the point."""
        was_killed = killed_at(self.promotion(), point)
        left = champion_version(self.store)
        assert left in {1, 2}
        assert was_killed or left == 2
        served = {1: self.champion, 2: self.challenger}[left]
        assert fetch_champion(self.store) == left
        assert CHAMPION_ONNX.read_bytes() == served.read_bytes()
        assert [event.version for event in history(self.store)][-1] == left
        candidate = client_of(self.store).get_model_version_by_alias(MODEL, CANDIDATE)
        assert candidate.tags[SHA256] in {file_sha256(self.champion), file_sha256(self.challenger)}
        self._require_ends()
        return was_killed

    def _require_ends(self) -> None:
        done = put(self.store, self.challenger, passed=True, against=self.champion)
        assert done.version == champion_version(self.store) == 2
        assert done.aliases == (CANDIDATE, CHAMPION)
        told = [(event.kind, event.version, event.before) for event in history(self.store)]
        assert told == [("first", 1, None), ("promoted", 2, 1)]
        left = client_of(self.store).search_registered_models()
        assert [model.name for model in left if model.name.startswith(LOCK)] == []
        assert version_of(self.store, 2).tags["lowtide.passed"] == "True"
        assert len(client_of(self.store).search_model_versions(f"name='{MODEL}'")) == 2
