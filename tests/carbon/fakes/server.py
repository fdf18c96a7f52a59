"""An HTTP API on loopback: counts what it is asked, and misbehaves when it is told to."""

import gzip
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.carbon.fakes.series import Series
from tests.carbon.fakes.wall import FakeWall


@dataclass(frozen=True)
class Seen:
    """A request as it came in; `query` has the first value of each name."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    stall_s: float = 0.0  # between the halves of the body
    reset: bool = False  # after half the body, the connection is reset


def as_json(content: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json",
                 **{name.replace("_", "-"): value for name, value in headers.items()}})  # fmt: skip


def as_text(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), {"Content-Type": "text/plain"})


# Faults that any host can have (a function from the right reply to the wrong one).
Fault = Callable[[Reply], Reply]


def broken(status: int, body: str = "", **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(status, body.encode(), named)


def html(_: Reply) -> Reply:
    return Reply(200, b"<html><body>maintenance</body></html>", {"Content-Type": "text/html"})


def empty(_: Reply) -> Reply:
    return Reply(200)


def cut_json(reply: Reply) -> Reply:
    return Reply(200, reply.body[: len(reply.body) // 2], reply.headers)


def reset(reply: Reply) -> Reply:
    return Reply(200, reply.body, reply.headers, reset=True)


def gzipped(reply: Reply) -> Reply:
    return Reply(200, gzip.compress(reply.body), {**reply.headers, "Content-Encoding": "gzip"})


def bad_gzip(reply: Reply) -> Reply:
    return Reply(200, b"no gzip at all", {**reply.headers, "Content-Encoding": "gzip"})


def huge(_: Reply) -> Reply:
    """6 MB, and packed small: the cap is on what is unpacked."""
    return Reply(200, gzip.compress(b'["' + b"x" * 6_000_000 + b'"]'), {"Content-Encoding": "gzip"})


def stalled(seconds: float) -> Fault:
    return lambda reply: Reply(200, reply.body, reply.headers, stall_s=seconds)


def redirect(location: str, status: int = 302) -> Fault:
    return lambda _: Reply(status, b"", {"Location": location})


class Fake:
    """`answer` is what the real API would say; `faults` are used up, `fault` stays."""

    def __init__(self, wall: FakeWall, series: Series) -> None:
        self.wall, self.series = wall, series
        self.seen: list[Seen] = []
        self.faults: deque[Fault] = deque()
        self.fault: Fault | None = None
        self.url = ""

    def answer(self, seen: Seen) -> Reply:
        raise NotImplementedError

    def count(self, path: str = "") -> int:
        """Requests so far whose path begins with `path`."""
        return sum(seen.path.startswith(path) for seen in self.seen)

    def reply(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        reply = self.answer(seen)
        fault = self.faults.popleft() if self.faults else self.fault
        return reply if fault is None else fault(reply)


@contextmanager
def serving(fake: Fake) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._send(fake.reply(Seen(parts.path, query, headers)))

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            half = len(reply.body) // 2
            try:
                self.wfile.write(reply.body[:half])
                if reply.reset:
                    # Without lingering, closing is a reset.
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    return
                if reply.stall_s:
                    time.sleep(reply.stall_s)
                self.wfile.write(reply.body[half:])
            except OSError:
                return  # the client has had enough

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def stamp(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
