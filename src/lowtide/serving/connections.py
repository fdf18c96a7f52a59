"""Connections that are too slow are closed: uvicorn by itself waits for headers for ever."""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

DRAIN_S = 5.0  # for what a client still sends after it was refused


class Impatient(H11Protocol):
    """uvicorn's HTTP/1.1 with a time for headers, and one for the rest of a refused body."""

    header_s: ClassVar[float]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(self.header_s)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._expect(None)  # headers are whole; the body's time is the application's
        elif self._due is None:
            self._expect(self.header_s)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._expect(DRAIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def _expect(self, within_s: float | None) -> None:
        """Close the connection then, unless this is called again; None: no longer."""
        if self._due is not None:
            self._due.cancel()
        self._due = None if within_s is None else self.loop.call_later(within_s, self._close)

    def _close(self) -> None:
        self._due = None
        self.transport.close()


def impatient(header_s: float) -> type[Impatient]:
    """The protocol class for `uvicorn.Config(http=...)`."""
    return type("ImpatientProtocol", (Impatient,), {"header_s": header_s})
