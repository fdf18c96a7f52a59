"""What a request may cost before it is looked at: keys, concurrency, size and time of its body."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})  # for probes that have no key
CHALLENGE = (b"www-authenticate", b"Bearer")
RETRY = (b"retry-after", b"1")
CLOSE = (b"connection", b"close")


@dataclass(frozen=True)
class Limits:
    body_bytes: int
    images: int  # in one request
    in_flight: int  # requests
    header_s: float
    body_s: float


@dataclass(frozen=True)
class Refusal:
    status: int
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Guard:
    """ASGI middleware. The application gets whole bodies within the limits, or is not asked.

    What still comes of a refused body is read and thrown away for a while (see `connections`): a
    connection that is closed at once would be reset, and the refusal lost on its way.

    `key` is what clients have to send, as `Authorization: Bearer KEY`; None lets everybody in.
    """

    def __init__(self, app: Callable[..., Any], limits: Limits, key: str | None) -> None:
        self._app, self._limits = app, limits
        self._key = None if key is None else key.encode()
        self._num_in_flight = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if refusal := self._refuse(scope["path"], headers):
            await answer(refusal, send)
            return
        self._num_in_flight += 1
        try:
            body = await self._read(receive)
            if isinstance(body, Refusal):
                await answer(body, send)
            elif body is not None:
                await self._app(scope, _replay(body, receive), send)
        finally:
            self._num_in_flight -= 1

    def _refuse(self, path: str, headers: dict[bytes, bytes]) -> Refusal | None:
        if path in OPEN:
            return None
        if self._key is not None and not _same(self._key, headers):
            return Refusal(401, "send the server's key as Authorization: Bearer KEY", (CHALLENGE,))
        if int(headers.get(b"content-length", b"0")) > self._limits.body_bytes:  # h11 has checked
            return self._too_large()
        if self._num_in_flight >= self._limits.in_flight:
            return Refusal(
                503, f"{self._num_in_flight} requests are being answered: try again", (RETRY,)
            )
        return None

    async def _read(self, receive: Any) -> bytes | Refusal | None:
        """None where the client has gone."""
        try:
            async with asyncio.timeout(self._limits.body_s):
                return await self._gather(receive)
        except TimeoutError:
            return Refusal(408, f"the body took over {self._limits.body_s:g} s", (CLOSE,))

    async def _gather(self, receive: Any) -> bytes | Refusal | None:
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limits.body_bytes:
                return self._too_large()
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is over {self._limits.body_bytes} bytes")


def _same(key: bytes, headers: dict[bytes, bytes]) -> bool:
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    return hmac.compare_digest(given.strip(), key) and scheme.lower() == b"bearer"


def _replay(body: bytes, receive: Any) -> Callable[[], Any]:
    """The body at once; then what the connection says."""
    given = False

    async def replayed() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def answer(refusal: Refusal, send: Any) -> None:
    body = orjson.dumps({"error": refusal.message})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *refusal.headers,
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
