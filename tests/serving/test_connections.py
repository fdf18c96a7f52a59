"""No client holds a connection or a place for longer than it is given."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lowtide.serving import connections
from tests.runtime.files import write_classifier
from tests.serving.running import LIMITS, Served, pixels, serving, settings_of

TOO_LARGE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "m.onnx")


@pytest.fixture
def served(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Impatient, and with place for one request at a time."""
    monkeypatch.setattr(connections, "DRAIN_S", 0.5)
    monkeypatch.setattr(connections, "STALL_S", 1.0)
    limits = replace(LIMITS, in_flight=1)
    with serving(settings_of(path.parent, path, limits=limits)) as running:
        yield running


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), 30)


def is_closed_while_sending(connection: socket.socket) -> bool:
    """A byte at a time, ten seconds at most."""
    connection.settimeout(0.05)
    for _ in range(100):
        try:
            connection.sendall(b"x")
            if not connection.recv(1000):
                return True
        except TimeoutError:
            time.sleep(0.05)
        except OSError:
            return True
    return False


def test_headers_in_drops_end(served: Served) -> None:
    with connect(served) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        assert is_closed_while_sending(connection)


def test_a_refused_body_in_drops_ends(served: Served) -> None:
    with connect(served) as connection:
        connection.sendall(TOO_LARGE)
        assert connection.recv(12) == b"HTTP/1.1 413"
        assert is_closed_while_sending(connection)


def test_who_reads_no_answer_gives_up_its_place(served: Served) -> None:
    """It asks for much and reads nothing: others are answered once its time is over."""
    for _ in range(200):
        served.infer(pixels(np.zeros((8, 3, 8, 8), np.uint8)))
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(("127.0.0.1", served.port))
        deaf.sendall(b"GET /statistics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        until(lambda: served.infer(pixels()).status_code == 503)
        until(lambda: served.infer(pixels()).status_code == 200)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_connection_may_be_used_again_after_a_refusal(served: Served) -> None:
    """What was left of the refused body is not taken for a request."""
    with connect(served) as connection:
        connection.sendall(TOO_LARGE.replace(b"104857600", b"200000"))
        assert connection.recv(12) == b"HTTP/1.1 413"
        connection.sendall(b"x" * 200_000 + b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while b"HTTP/1.1 200" not in received:
            received += (more := connection.recv(1000))
            assert more, received
