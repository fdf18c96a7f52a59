"""Which process this is, and a world of one."""

import pytest
import torch

from lowtide.errors import UsageError
from lowtide.training.world import Place, World, open_world

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "GROUP_RANK": "1",
            "GROUP_WORLD_SIZE": "2"}  # fmt: skip


def test_torchrun_says_which_process_of_how_many_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    place = Place.of_environment()
    assert place == Place(rank=3, size=4, local_rank=1, node=1, num_nodes=2)
    assert not place.leads


def test_without_torchrun_a_process_is_alone_and_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    assert Place.of_environment() == Place()
    assert Place.of_environment().leads


def test_half_of_an_environment_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="WORLD_SIZE is 4, but RANK is no number"):
        Place.of_environment()


def test_alone_everything_is_as_it_was() -> None:
    tensor, model = torch.ones(3), torch.nn.Linear(2, 2)
    with open_world(Place()) as world, world.watched():
        world.add_(tensor)
        world.average_([tensor])
        world.align_([tensor])
        world.barrier()
        assert torch.equal(tensor, torch.ones(3))
        assert (world.sum(1.0, 2.0), world.mean(3.0)) == ([1.0, 2.0], 3.0)
        assert world.share(lambda: "mine") == "mine"
        assert world.replica(model) is model
        assert world == World()
