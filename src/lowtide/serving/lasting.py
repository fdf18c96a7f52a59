"""What runs beside the requests goes on, whatever happens to it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lowtide.errors import first_line

PAUSE_S = 15.0
log = logging.getLogger(__name__)


async def lasting(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Begin `work` again after each failure, until it ends; a failure is logged when it is new."""
    told = ""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 -- nobody waits for it who could be told
            reason = f"{type(error).__name__}: {first_line(error)}"
            if reason != told:
                log.error("%s failed and is begun again: %s", what, reason)
            told = reason
            await asyncio.sleep(PAUSE_S)
        else:
            return
