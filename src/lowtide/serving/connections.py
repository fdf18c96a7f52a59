"""Connections that are too slow are closed: uvicorn by itself waits for headers for ever."""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

DRAIN_S = 5.0  # for what a client still sends after it was refused
STALL_S = 20.0  # for a client to read what waits for it


class Impatient(H11Protocol):
    """uvicorn's HTTP/1.1 with a time for headers, for the rest of a refused body, for reading."""

    header_s: ClassVar[float]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._due: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(self.header_s)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_refused():
            return  # however little comes at a time, it has to end
        if self.conn.their_state is not h11.IDLE:
            self._expect(None)  # headers are whole; the body's time is the application's
        elif self._due is None:
            self._expect(self.header_s)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_refused():
            self._expect(DRAIN_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._due)
        _cancel(self._stalled)
        super().connection_lost(exc)

    def _is_refused(self) -> bool:
        """The answer is there, the body that it is to is not."""
        return self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY

    def _expect(self, within_s: float | None) -> None:
        """Close the connection then, unless this is called again; None: no longer."""
        _cancel(self._due)
        self._due = None if within_s is None else self.loop.call_later(within_s, self._close)

    def _close(self) -> None:
        self._due = None
        self.transport.close()


def impatient(header_s: float) -> type[Impatient]:
    """The protocol class for `uvicorn.Config(http=...)`."""
    return type("ImpatientProtocol", (Impatient,), {"header_s": header_s})


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
