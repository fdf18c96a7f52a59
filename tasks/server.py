"""The Prefect server of a run that has no other."""

import os
import signal

from prefect.settings import PREFECT_API_URL

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
    os.environ[CONSOLE_LEVEL] = "CRITICAL"  # of that server: stopped, it prints SQLAlchemy's woes
    try:
        SubprocessASGIServer().start(START_S)
    except RuntimeError as error:
        raise SystemExit(
            f"lowtide: Prefect's temporary server did not start in {START_S} s ({error}): "
            "try again, or name a running server in PREFECT_API_URL"
        ) from None
    finally:
        del os.environ[CONSOLE_LEVEL]
        signal.pthread_sigmask(signal.SIG_SETMASK, spared)
