"""What the tests of stages share."""

from pathlib import Path

import pytest

from lowtide.stages import kept_exports


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(autouse=True)
def _exported_once(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that begin with the same network share its file, as the stages of a chain do."""
    monkeypatch.setattr(kept_exports, "FOLDER", exported)
    monkeypatch.setattr(kept_exports, "NUM_KEPT", 40)
