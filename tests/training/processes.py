"""Processes that meet over gloo on loopback, with the environment that torchrun gives them."""

import multiprocessing
import os
import pickle
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from tests.servers import free_port

TIMEOUT_S = 120
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["torch._dynamo", "torch.distributed", "torch_pruning"])


def in_processes(
    num: int, function: Callable[..., Any], *arguments: Any, ends: Sequence[int] | None = None
) -> list[Any]:
    """What `function(world, *arguments)` returns in each of `num` processes, by rank.

    ends: the processes that are still there then; by default all.
    """
    answers = FORKED.Queue()
    port = free_port()
    running = [
        FORKED.Process(target=_run, args=(answers, rank, num, port, function, arguments))
        for rank in range(num)
    ]
    for process in running:
        process.start()
    ends = range(num) if ends is None else ends
    found = dict(answers.get(timeout=TIMEOUT_S) for _ in ends)
    for process in running:
        process.join(TIMEOUT_S)
    failed = [answer for answer in found.values() if isinstance(answer, str)]
    assert not failed, "\n".join(failed)
    return [pickle.loads(found[rank]) for rank in ends]


def _run(
    answers: Any, rank: int, num: int, port: int, function: Callable[..., Any], arguments: Any
) -> None:
    import torch

    from lowtide.training.world import Place, open_world

    torch.set_num_threads(1)
    place = {"RANK": rank, "WORLD_SIZE": num, "LOCAL_RANK": rank, "GROUP_RANK": 0,
             "GROUP_WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
    os.environ |= {name: str(value) for name, value in place.items()}
    try:
        with open_world(Place.of_environment()) as world:
            answer = function(world, *arguments)
            answers.put((rank, pickle.dumps(answer)))  # bytes: tensors would go by shared memory
    except BaseException:  # noqa: BLE001 -- told in the test
        answers.put((rank, f"process {rank}: {traceback.format_exc()}"))
