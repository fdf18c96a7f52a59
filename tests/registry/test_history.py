"""Who was champion when: what happened, in order, and nothing that did not."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lowtide.cli import app
from lowtide.registry import history
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
    settle(client_of(settled))
    last = history(settled)[-1]
    assert (last.kind, last.version, last.before) == ("moved outside lowtide", 2, 1)
    assert settle(client_of(settled))[-1] == last


def test_the_command_prints_it(settled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", settled)
    printed = CliRunner().invoke(app, ["champions"]).output
    assert "version 1 (before: None), first" in printed
    told = CliRunner().invoke(app, ["champions", "--json"]).output
    assert '"version": 1' in told
