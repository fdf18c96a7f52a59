"""Processes of one attempt find each other in a store that remembers former attempts."""

from concurrent.futures import ThreadPoolExecutor

import torch.distributed as dist

from lowtide.training.meeting import Store, meet
from lowtide.training.world import Place

SIZE = 3


def attempt(store: Store) -> set[str]:
    """The names that its processes have."""
    with ThreadPoolExecutor(SIZE) as pool:
        places = [Place(rank=rank, size=SIZE) for rank in range(SIZE)]
        return set(pool.map(lambda place: meet(place, store), places))


def test_each_attempt_has_a_name_of_its_own() -> None:
    store = dist.HashStore()
    found = [attempt(store) for _ in range(3)]
    assert all(len(names) == 1 for names in found)
    assert len(set.union(*found)) == 3


def test_one_that_died_before_it_was_answered_is_not_counted() -> None:
    store = dist.HashStore()
    for rank in range(1, SIZE):
        store.set(f"question/{rank}", "of a process that is no more")
    assert len(attempt(store)) == 1
