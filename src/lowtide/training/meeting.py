"""How the processes of one attempt find each other.

torchrun starts all of them again when one has died, but keeps its store: what the processes of the
former attempt have left there would be taken for the addresses of the new ones (pytorch #135712).
"""

import time
from typing import Protocol
from uuid import uuid4

from lowtide.energy.nodes import Board
from lowtide.training.world import Place

EVERY_S = 0.05


class Store(Board, Protocol):
    """Of torch, which all processes reach."""

    def add(self, key: str, amount: int) -> int: ...


def meet(place: Place, store: Store) -> str:
    """A name for this attempt that all its processes have, and none of a former one."""
    return _answer(store, place.size) if place.leads else _ask(store, place.rank)


def _ask(store: Store, rank: int) -> str:
    token = uuid4().hex
    store.set(_question(rank), token)
    name = store.get(f"answer/{token}").decode()
    store.add(f"{name}/heard", 1)
    return name


def _answer(store: Store, size: int) -> str:
    """Answer whatever is asked, also by those who are no more, until all have heard it."""
    name = uuid4().hex
    while store.add(f"{name}/heard", 0) < size - 1:
        for key in (_question(rank) for rank in range(1, size)):
            if store.check([key]):
                store.set(f"answer/{store.get(key).decode()}", name)
        time.sleep(EVERY_S)
    return name


def _question(rank: int) -> str:
    return f"question/{rank}"
