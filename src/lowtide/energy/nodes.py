"""The joules of further nodes: each meters itself and tells them to the node with the ledger."""

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from itertools import count
from typing import Protocol

from lowtide.energy.sources import EnergySource, Reading
from lowtide.errors import MeterError

EVERY_S = 1.0
SILENT_S = 60.0  # a node that has told nothing for so long is lost
log = logging.getLogger(__name__)


class Board(Protocol):
    """Where nodes leave notes for each other; torch's stores are such."""

    def set(self, key: str, value: str) -> None: ...

    def get(self, key: str) -> bytes: ...

    def check(self, keys: list[str]) -> bool: ...


class NodeSource:
    """What another node has told last, as `cpu@node1`."""

    def __init__(self, board: Board, node: int) -> None:
        self._board, self._node = board, node
        self._note, self._heard_s = b"", time.monotonic()
        self._readings: list[Reading] = []

    def read(self) -> list[Reading]:
        """Cumulative joules since the node began; MeterError where it tells nothing any more."""
        note = self._note_of_now()
        now_s = time.monotonic()
        if note != self._note:
            self._note, self._heard_s, self._readings = note, now_s, self._read_from(note)
        elif now_s - self._heard_s > SILENT_S:
            raise MeterError(
                f"node {self._node} has not told its energy for {SILENT_S:.0f} s: see what its "
                "processes say"
            )
        return self._readings

    def close(self) -> None:
        pass

    def _note_of_now(self) -> bytes:
        key = _key(self._node)
        try:
            return self._board.get(key) if self._board.check([key]) else b""
        except RuntimeError as error:
            raise MeterError(f"node {self._node} cannot be heard any more: {error}") from None

    def _read_from(self, note: bytes) -> list[Reading]:
        found = [Reading(*fields) for fields in json.loads(note)["readings"]]
        return [replace(one, component=f"{one.component}@node{self._node}") for one in found]


@contextmanager
def telling(
    sources: Sequence[EnergySource], board: Board, node: int, every_s: float = EVERY_S
) -> Iterator[None]:
    """Tell what the node's sources read while the body runs, and at its end."""
    left, ended = list(sources), threading.Event()

    def keep_telling() -> None:
        for number in count():
            last = ended.is_set()
            readings = [astuple(reading) for reading in _read(left)]
            try:
                board.set(_key(node), json.dumps({"number": number, "readings": readings}))
            except RuntimeError as error:  # the first node has gone, and with it this training
                log.warning("the energy of node %d cannot be told any more: %s", node, error)
                return
            if last:
                return
            ended.wait(every_s)

    thread = threading.Thread(target=keep_telling, name="node-energy", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _read(sources: list[EnergySource]) -> list[Reading]:
    """Of all that answer; one that does not is asked no more."""
    readings: list[Reading] = []
    for source in [*sources]:
        try:
            readings += source.read()
        except MeterError as error:
            log.warning("metering goes on without a source: %s", error)
            sources.remove(source)
    return readings


def _key(node: int) -> str:
    return f"energy/{node}"
