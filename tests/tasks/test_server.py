"""The temporary server of a run says nothing of its own end, which is no concern of the user's."""

import os
import subprocess
import sys

import pytest
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.server import CONSOLE_LEVEL, start_own_server

STOPPED = """
import logging
from prefect.logging.configuration import setup_logging
import sqlalchemy
setup_logging()
logging.getLogger("sqlalchemy.pool.impl").error("Exception during reset or similar")
"""


def test_what_its_libraries_say_as_it_stops_is_not_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed: list[str] = []

    def start(_server: SubprocessASGIServer, _timeout_s: int) -> None:
        done = subprocess.run(
            [sys.executable, "-c", STOPPED], capture_output=True, text=True, check=True
        )
        printed.append(done.stdout + done.stderr)

    monkeypatch.setattr(SubprocessASGIServer, "start", start)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        start_own_server()
    assert printed == [""]
    assert CONSOLE_LEVEL not in os.environ  # the flow's own log is heard
