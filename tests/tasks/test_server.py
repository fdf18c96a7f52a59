"""The temporary server of a run says nothing of its own end, which is no concern of the user's."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.server import ANALYTICS, CONSOLE_LEVEL, start_own_server

STOPPED = """
import logging
from prefect.logging.configuration import setup_logging
import sqlalchemy
setup_logging()
logging.getLogger("sqlalchemy.pool.impl").error("Exception during reset or similar")
"""


def start_by(
    start: Callable[[SubprocessASGIServer, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SubprocessASGIServer, "start", start)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        start_own_server()


def test_what_its_libraries_say_as_it_stops_is_not_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed: list[str] = []

    def start(_server: SubprocessASGIServer, _timeout_s: int) -> None:
        done = subprocess.run(
            [sys.executable, "-c", STOPPED], capture_output=True, text=True, check=True
        )
        printed.append(done.stdout + done.stderr)

    start_by(start, monkeypatch)
    assert printed == [""]


@pytest.mark.parametrize("own", [None, "WARNING"])
def test_the_flows_own_log_is_heard_as_the_user_has_set_it(
    monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    monkeypatch.delenv(CONSOLE_LEVEL, raising=False)
    if own is not None:
        monkeypatch.setenv(CONSOLE_LEVEL, own)
    start_by(lambda _server, _timeout_s: None, monkeypatch)
    assert os.environ.get(CONSOLE_LEVEL) == own


@pytest.mark.parametrize(("own", "of_server"), [(None, "false"), ("true", "true")])
def test_the_server_tells_nobody_of_itself_unless_asked_to(
    monkeypatch: pytest.MonkeyPatch, own: str | None, of_server: str
) -> None:
    monkeypatch.delenv(ANALYTICS, raising=False)
    if own is not None:
        monkeypatch.setenv(ANALYTICS, own)
    told: list[str] = []
    start_by(lambda _server, _timeout_s: told.append(os.environ[ANALYTICS]), monkeypatch)
    assert told == [of_server]
    assert os.environ.get(ANALYTICS) == own
