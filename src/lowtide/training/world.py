"""The processes that train one model: what they agree on, and what they add up.

One process alone is a world, too, in which there is nobody to ask. Several are `training.group`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager as Context
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from lowtide.energy.nodes import Board
from lowtide.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Which process this is: number `rank` of `size`, number `local_rank` on node `node`."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    node: int = 0
    num_nodes: int = 1

    @classmethod
    def of_environment(cls) -> Self:
        """As torchrun has set it; without torchrun a process is alone.

        Raises:
            UsageError: something else than torchrun has set a part of it.
        """
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "GROUP_WORLD_SIZE")
        try:
            return cls(*(int(os.environ[name]) for name in names))
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {' '.join(map(str, error.args))} "
                "is no number in the environment: start with torchrun, or unset WORLD_SIZE"
            ) from None

    @property
    def leads(self) -> bool:
        """It meters, decides, writes and speaks; the others compute with it."""
        return self.rank == 0


@dataclass(frozen=True)
class World(Place):
    """What a process asks of the others; here there are none.

    `board`: for notes between nodes, where there are several.
    """

    board: Board | None = None

    def share(self, make: Callable[[], T]) -> T:
        """What `make` returns in the process that leads, in all of them."""
        return make()

    def sum(self, *values: float) -> list[float]:
        """Each value added up over the processes."""
        return list(values)

    def mean(self, value: float) -> float:
        return self.sum(value)[0] / self.size

    def add_(self, tensor: "Tensor") -> None:
        """Add up over the processes, in place."""

    def average_(self, tensors: Sequence["Tensor"]) -> None:
        """Take the mean of each over the processes, in place."""

    def align_(self, tensors: Sequence["Tensor"]) -> None:
        """Take the values that the process that leads has, in place."""

    def barrier(self) -> None:
        """Wait until all processes are here."""

    def replica(self, model: "nn.Module") -> "nn.Module":
        """The model, with gradients that are means over the processes."""
        return model

    def watched(self) -> Context[None]:
        """In the body it is a `PeerError` that another process has gone."""
        return nullcontext()


ALONE = World()


@contextmanager
def open_world(place: Place) -> Iterator[World]:
    """Meet the other processes, if there are any; leave them when the body is through."""
    if place.size == 1:
        yield ALONE
        return
    from lowtide.training.group import open_group

    with open_group(place) as group:
        yield group
