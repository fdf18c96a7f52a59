"""Every flow ends with one line and the same exit codes; asked for help it does nothing."""

import runpy
import sys

import pytest
from prefect.states import Completed, State

from flows.ending import end, failed
from flows.promote import promote_candidate
from lowtide.errors import GateError, TrackingError


@pytest.mark.parametrize(
    ("state", "code", "out", "err"),
    [
        (Completed(message="all is well"), 0, "Completed: all is well\n", ""),
        (Completed(name="Kept", message="as it was"), 0, "Kept: as it was\n", ""),
        (failed(TrackingError("away")), 1, "", "lowtide: away\n"),
        (failed(GateError("no"), "; it stays"), 3, "", "lowtide: no; it stays\n"),
    ],
)
def test_a_flow_ends(
    state: State, code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(state) == code
    assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize(("by", "why"), [("ada", None), (None, "a trial"), ("ada", "")])
def test_who_without_why_forces_nothing(by: str | None, why: str | None) -> None:
    """Also where it was started from Prefect's page, which knows no --force."""
    state = promote_candidate.fn(by, why)
    assert state.is_failed()
    assert "--by WHO --why WHY" in str(state.message)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", ["balance", "pipeline", "promote", "rollback", "watch"])
def test_asked_for_help_a_flow_says_what_it_does(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"flows.{name}", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"flows.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert "Usage" in capsys.readouterr().out
