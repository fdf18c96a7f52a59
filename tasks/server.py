"""The Prefect server of a run that has no other."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.settings import PREFECT_API_URL

ANALYTICS = "PREFECT_SERVER_ANALYTICS_ENABLED"
CONSOLE_LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
START_S = 180  # of a busy machine; Prefect's own limit is 20


def start_own_server() -> None:
    """Start Prefect's temporary server so that Ctrl-C, which the terminal sends to all, spares it.

    It is needed until the flow has said how it ended, and is stopped by Prefect at exit. Where it
    does not start the process ends with one line.
    """
    if PREFECT_API_URL.value():
        return
    from prefect.server.api.server import SubprocessASGIServer

    spared = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child inherits it
    try:
        with _environment_of_server():
            SubprocessASGIServer().start(START_S)
    except RuntimeError as error:
        raise SystemExit(
            f"lowtide: Prefect's temporary server did not start in {START_S} s ({error}): "
            "try again, or name a running server in PREFECT_API_URL"
        ) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, spared)


@contextmanager
def _environment_of_server() -> Iterator[None]:
    """It tells nobody of itself, unless asked to; stopped, it would print SQLAlchemy's woes."""
    own = {name: os.environ.get(name) for name in (ANALYTICS, CONSOLE_LEVEL)}
    os.environ |= {ANALYTICS: own[ANALYTICS] or "false", CONSOLE_LEVEL: "CRITICAL"}
    try:
        yield
    finally:
        for name, value in own.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
