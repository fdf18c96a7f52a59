"""Two real processes over gloo: they agree, add up, and learn what one process learns."""

import os
import time
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from lowtide.controller.knobs import Knobs
from lowtide.errors import LowtideError, ModelError, PeerError
from lowtide.models.factory import Classifier
from lowtide.training.fit import fit
from lowtide.training.group import PATIENCE, Group
from lowtide.training.world import World
from tests.training.processes import in_processes
from tests.training.small import CPU, work
from tests.training.test_fit import nan_at
from tests.training.test_steering import LEVERS, LONG, controller, decisions


def talked(world: World) -> dict[str, object]:
    mine, theirs = torch.full((2, 2), float(world.rank)), torch.full((3,), float(world.rank))
    added, aligned = mine.clone(), [mine.clone(), theirs.clone()]
    world.add_(added)
    world.align_(aligned)
    averaged = [mine, theirs]
    world.average_(averaged)
    world.average_([])
    world.barrier()
    return {
        "share": world.share(lambda: f"from {world.rank}"),
        "sum": world.sum(world.rank + 1.0, 10.0),
        "mean": world.mean(world.rank + 1.0),
        "added": added.unique().tolist(),
        "aligned": torch.cat([one.flatten() for one in aligned]).unique().tolist(),
        "averaged": torch.cat([one.flatten() for one in averaged]).unique().tolist(),
    }


def test_processes_agree_and_add_up() -> None:
    expected = {"share": "from 0", "sum": [3.0, 20.0], "mean": 1.5, "added": [1.0],
                "aligned": [0.0], "averaged": [0.5]}  # fmt: skip
    assert in_processes(2, talked) == [expected, expected]


def patience_s(world: World) -> float:
    assert isinstance(world, Group)
    assert world.control is not None
    backend = world.control._get_backend(CPU)
    return float(backend.options._timeout.total_seconds())


def test_a_pause_of_days_is_waited_for() -> None:
    assert in_processes(2, patience_s) == [PATIENCE.total_seconds()] * 2


@dataclass
class Trained:
    history: list[dict[str, float]]
    knobs: list[Knobs]
    reasons: list[str]
    weights: dict[str, Tensor]
    noise: object


def trained(world: World, folder: Path, steered: bool) -> Trained:
    """In float64: what is left of a difference is none of rounding.

    Gates from the first step on, larger batches, channels that leave, gates folded in.
    """
    torch.set_default_dtype(torch.float64)
    levers = replace(LEVERS, land=False)
    steering = controller(levers=levers) if steered else None
    done = work(folder, LONG, steering, world)
    history = fit(done, [])
    made = decisions(done) if steered else []
    assert all(type(layer).__name__ != "JoinedBatchNorm2d" for layer in done.model.modules())
    return Trained(
        history, [Knobs(**one["knobs"]) for one in made],  # type: ignore[arg-type]
        [reason for one in made for reason in one["reasons"]],  # type: ignore[attr-defined]
        done.model.state_dict(), done.progress.steering.get("noise"),
    )  # fmt: skip


@pytest.mark.parametrize("steered", [False, True])
def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path, steered: bool) -> None:
    """Losses are taken of float32 logits: they may differ by 1e-6."""
    (alone,) = in_processes(1, trained, tmp_path / "alone", steered)
    first, second = in_processes(2, trained, tmp_path / "two", steered)
    assert len(first.history) == len(alone.history)
    for mine, theirs in zip(first.history, alone.history, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-6)
    for name, tensor in alone.weights.items():
        assert torch.allclose(first.weights[name], tensor, atol=1e-6), name
        assert torch.equal(first.weights[name], second.weights[name]), name
    assert (first.history, first.knobs) == (second.history, second.knobs)
    assert first.reasons == alone.reasons
    if steered:
        assert {knobs.batch_size for knobs in first.knobs} == {8, 16}
        assert "channels" in " ".join(first.reasons)
        assert "gates folded in" in " ".join(first.reasons)
        assert first.noise == pytest.approx(alone.noise, rel=1e-6)


def in_float32(world: World, folder: Path) -> list[dict[str, float]]:
    return fit(work(folder, LONG, world=world), [])


def test_in_float32_the_curves_differ_by_rounding(tmp_path: Path) -> None:
    (alone,) = in_processes(1, in_float32, tmp_path / "alone")
    first, second = in_processes(2, in_float32, tmp_path / "two")
    assert first == second
    for mine, theirs in zip(first, alone, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


def measured(world: World, folder: Path) -> tuple[object, ...]:
    steering = controller(recorded=None)
    fit(work(folder, LONG.model_copy(update={"epochs": 1}), steering, world), [])
    return astuple(steering.record().device)


def test_the_profile_is_that_of_the_process_that_leads(tmp_path: Path) -> None:
    first, second = in_processes(2, measured, tmp_path)
    assert first == second
    assert first[0].keys() == {"4", "8", "16"}


def broken_once(world: World, folder: Path) -> tuple[int, float, int]:
    """The loss is not finite in one of the processes."""
    shaky = work(folder, world=world)
    if not world.leads:
        shaky.loss = nan_at(8)
    history = fit(shaky, [])
    return shaky.progress.restores, shaky.knobs.rate_factor, len(history)


def test_a_loss_that_is_not_finite_somewhere_is_answered_everywhere(tmp_path: Path) -> None:
    assert in_processes(2, broken_once, tmp_path) == [(1, 0.5, 3)] * 2


def left_alone(world: World) -> tuple[str, float]:
    """A process goes without a word, as `kill -9` makes it: what the other one sees, and when."""
    if world.rank == 1:
        dist.barrier()
        os._exit(0)
    dist.barrier()
    begun = time.monotonic()
    try:
        with world.watched():
            world.share(lambda: None)
            world.sum(1.0)
    except LowtideError as error:
        return f"{type(error).__name__}: {error}", time.monotonic() - begun
    return "nothing", 0.0


def test_a_process_that_has_gone_is_noticed_at_once() -> None:
    said, after_s = in_processes(2, left_alone, ends=(0,))[0]
    assert said.startswith(f"{PeerError.__name__}: process 0 of 2 ends")
    assert "\n" not in said
    assert after_s < 5


class Idle(nn.Module):
    """A layer that no output comes from."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(64, 4), nn.Linear(64, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.used(images.flatten(1))  # type: ignore[no-any-return]


def with_an_idle_layer(world: World, folder: Path) -> str:
    done = work(folder, world=world)
    done.model = Classifier(Idle(), (120.0,), (60.0,))
    done.__post_init__()
    try:
        with world.watched():
            fit(done, [])
    except ModelError as error:
        return str(error)
    return "trained"


def test_parameters_without_a_part_in_the_output_are_named(tmp_path: Path) -> None:
    for said in in_processes(2, with_an_idle_layer, tmp_path):
        assert "set their requires_grad to False" in said
