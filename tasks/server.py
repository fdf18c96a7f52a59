"""The Prefect server of a run that has no other."""

import signal

from prefect.settings import PREFECT_API_URL


def start_own_server() -> None:
    """Start Prefect's temporary server so that Ctrl-C, which the terminal sends to all, spares it.

    It is needed until the flow has said how it ended, and is stopped by Prefect at exit.
    """
    if PREFECT_API_URL.value():
        return
    from prefect.server.api.server import SubprocessASGIServer

    spared = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child inherits it
    try:
        SubprocessASGIServer().start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, spared)
