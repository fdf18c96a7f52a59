"""What happens to a fit while it waits: kept on disk, its GPU memory given to others if wanted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from lowtide.training.work import Fit


@contextmanager
def set_aside(work: Fit, *, release_memory: bool) -> Iterator[None]:
    """A checkpoint first: whatever ends the wait, no work is lost."""
    work.save()
    with memory_released(work) if release_memory else nullcontext():
        yield


@contextmanager
def memory_released(work: Fit) -> Iterator[None]:
    """In the body the fit's weights, momenta, averages and gates are in main memory.

    Nothing is rounded on the way. Where several processes train they stay where they are: their
    buckets of gradients are bound to the device.
    """
    if work.device.type == "cpu" or work.world.size > 1:
        yield
        return
    held = work.held()
    move(held, torch.device("cpu"))
    torch.cuda.empty_cache()
    try:
        yield
    finally:
        move(held, work.device)


def move(tensors: Sequence[Tensor], device: torch.device) -> None:
    """In place: whoever holds a tensor holds it still. Gradients are dropped."""
    for tensor in tensors:
        tensor.grad = None
        tensor.data = tensor.data.to(device)
