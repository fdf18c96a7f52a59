"""One meter for each node of a distributed training: the first node's is that of the stage."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lowtide.energy.nodes import NodeSource, telling
from lowtide.energy.sources import EnergySource, open_sources
from lowtide.training.world import World


def sources_of_nodes(world: World) -> list[EnergySource]:
    """What further nodes tell, for the meter of the process that leads."""
    if world.board is None:
        return []
    return [NodeSource(world.board, node) for node in range(1, world.num_nodes)]


@contextmanager
def metered_node(world: World) -> Iterator[None]:
    """In the body one process of each further node tells what its node uses."""
    with ExitStack() as stack:
        if world.board is not None and world.node > 0 and world.local_rank == 0:
            sources = open_sources()
            for source in sources:
                stack.callback(source.close)
            stack.enter_context(telling(sources, world.board, world.node))
        yield
