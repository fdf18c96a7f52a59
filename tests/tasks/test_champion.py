"""The champion is brought where a candidate is to be held against it, and only then."""

from pathlib import Path

import pytest

from lowtide.artifacts import file_sha256, report_path, write_json
from lowtide.evaluation.champion import read_champion
from tasks.champion import bring_champion
from tests.registry.conftest import empty_store, store
from tests.registry.stores import put, write_model

__all__ = ["empty_store", "store"]
ALL = ("export", "evaluate", "judge")


def test_another_champion_means_to_judge_anew(
    checkout: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert not bring_champion.fn(ALL)  # nobody is champion
    first = write_model(checkout / "first.onnx", 0.0)
    put(store, first, passed=True)
    write_json(report_path("evaluate"), {"model_sha256": file_sha256(first)})
    assert not bring_champion.fn(())  # the model at hand is champion itself
    assert read_champion().version is None
    assert bring_champion.fn(ALL)  # it is made anew, and held against its former self
    assert read_champion().version == 1
    assert not bring_champion.fn(ALL)


@pytest.mark.usefixtures("checkout")
def test_without_a_registry_the_last_one_known_stays(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert not bring_champion.fn(ALL)
    assert "the last one known" in capfd.readouterr().err


def test_a_database_that_is_not_there_yet_is_not_made(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask it would race with whoever makes it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout / 'mlflow.db'}")
    assert not bring_champion.fn(ALL)
    assert not (checkout / "mlflow.db").exists()
