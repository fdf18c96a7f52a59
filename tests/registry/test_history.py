"""Who was champion when: what happened, in order, and nothing that did not."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lowtide.cli import app
from lowtide.registry import Reason, history
from lowtide.registry.history import Event, settle, write_event
from tests.registry.stores import client_of, put, write_model


@pytest.fixture
def settled(checkout: Path, store: str) -> str:
    """Two versions, of which the first is champion."""
    put(store, write_model(checkout / "first.onnx", 0.0), passed=True)
    put(store, write_model(checkout / "second.onnx", 1.0), passed=False)
    return store


def begun(store: str) -> None:
    write_event(client_of(store), Event(2, "2026-01-01T00:00:00Z", "promoted", 2, 1))


def test_what_was_cut_off_before_the_alias_never_happened(settled: str) -> None:
    begun(settled)
    assert [event.version for event in history(settled)] == [1]
    assert [event.state for event in settle(client_of(settled))] == ["done", "cut off"]
    assert [event.version for event in history(settled)] == [1]


def test_what_was_cut_off_behind_the_alias_has_happened(settled: str) -> None:
    begun(settled)
    client_of(settled).set_registered_model_alias("lowtide-classifier", "champion", "2")
    assert [event.version for event in history(settled)] == [1, 2]
    assert [event.state for event in settle(client_of(settled))] == ["done", "done"]


def test_an_alias_that_was_moved_by_hand_is_noted(settled: str) -> None:
    client_of(settled).set_registered_model_alias("lowtide-classifier", "champion", "2")
    last = history(settled)[-1]
    assert (last.kind, last.version, last.before) == ("moved outside lowtide", 2, 1)
    noted = settle(client_of(settled))[-1]
    assert (noted.kind, noted.version) == (last.kind, last.version)
    assert history(settled)[-1] == settle(client_of(settled))[-1] == noted


def test_a_champion_that_was_never_promoted_is_told_of(checkout: Path, store: str) -> None:
    put(store, write_model(checkout / "first.onnx", 0.0), passed=False)
    assert history(store) == []
    client_of(store).set_registered_model_alias("lowtide-classifier", "champion", "1")
    told = [(event.kind, event.version, event.before) for event in history(store)]
    assert told == [("moved outside lowtide", 1, None)]


def test_the_command_prints_it(settled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settled)
    printed = CliRunner().invoke(app, ["champions"]).output
    assert "version 1 (before: none), first" in printed
    second = Path("second.onnx")
    put(settled, second, passed=False, forced=Reason("ada", "a leak in the old"))
    printed = CliRunner().invoke(app, ["champions"]).output.splitlines()[-1]
    assert printed.endswith("version 2 (before: 1), forced by ada: a leak in the old")
    told, forced = json.loads(CliRunner().invoke(app, ["champions", "--json"]).output)["champions"]
    assert (told["version"], told["before"], told["kind"]) == (1, None, "first")
    assert (forced["kind"], forced["by"], forced["why"]) == ("forced", "ada", "a leak in the old")
