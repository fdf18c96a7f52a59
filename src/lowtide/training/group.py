"""Several processes that torchrun has started: `World` over gloo and NCCL."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager as Context
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lowtide.energy.nodes import Board
from lowtide.errors import ModelError, PeerError
from lowtide.training.meeting import meet
from lowtide.training.world import Place, World

T = TypeVar("T")
# What may pass before a process answers: the one that leads may wait days for clean power. In
# milliseconds it has 31 bits. A process that has died is noticed by its closed connection.
PATIENCE = timedelta(days=20)
UNUSED = "Expected to have finished reduction in the prior iteration"  # torch's words


@dataclass(frozen=True)
class Group(World):
    """Tensors of the model go by the default group, all else over gloo, with `PATIENCE`."""

    control: dist.ProcessGroup | None = None

    def share(self, make: Callable[[], T]) -> T:
        box: list[T | None] = [make() if self.leads else None]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]  # type: ignore[return-value]

    def sum(self, *values: float) -> list[float]:
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self.control)
        return total.tolist()

    def add_(self, tensor: Tensor) -> None:
        dist.all_reduce(tensor)

    def average_(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        _fill(tensors, flat / self.size)

    def align_(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.broadcast(flat, src=0)
        _fill(tensors, flat)

    def barrier(self) -> None:
        dist.barrier(group=self.control)

    def replica(self, model: nn.Module) -> nn.Module:
        replica = DistributedDataParallel(model)
        replica.broadcast_buffers = False  # batch norms keep the same statistics everywhere
        return replica

    def watched(self) -> Context[None]:
        return _watched(self)


@contextmanager
def open_group(place: Place) -> Iterator[Group]:
    """Followers do not hear SIGTERM: the process that leads does, and takes them along."""
    with _watched(place):
        store, _, _ = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
        name = meet(place, store)
        store = dist.PrefixStore(name, store)  # type: ignore[attr-defined]
        backend = "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(place.local_rank)
            backend = "cpu:gloo,cuda:nccl"
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size)
        control = dist.new_group(backend="gloo", timeout=PATIENCE)
        if not place.leads:
            signal.signal(signal.SIGTERM, lambda *_: None)
        board = _board(name) if place.num_nodes > 1 else None
        yield Group(**asdict(place), board=board, control=control)
    dist.destroy_process_group()  # not after an error: it might wait for a process that has gone


def _board(name: str) -> Board:
    """A connection of its own: one that waits for a process would hold up the others' notes."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, is_master=False)  # type: ignore[attr-defined]
    board: Board = dist.PrefixStore(name, store)  # type: ignore[attr-defined]
    return board


@contextmanager
def _watched(place: Place) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if UNUSED in str(error):
            raise ModelError(
                "some parameters of the model take no part in its output, which several processes "
                "cannot train: set their requires_grad to False"
            ) from None
        if not _tells_of_a_peer(error):
            raise
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's: it ends already
        raise PeerError(
            f"process {place.rank} of {place.size} ends, for another one has gone: run again it "
            "goes on from its last checkpoint, which torchrun --max-restarts does by itself"
        ) from None


def _fill(tensors: Sequence[Tensor], flat: Tensor) -> None:
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def _tells_of_a_peer(error: RuntimeError) -> bool:
    """gloo's errors are plain RuntimeErrors that name it."""
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
