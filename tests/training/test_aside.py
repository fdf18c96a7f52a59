"""All that a fit keeps on its device is found, and moved without anyone losing hold of it."""

from contextlib import suppress
from pathlib import Path

import torch

from lowtide.training.aside import memory_released, move, set_aside
from lowtide.training.fit import fit
from tests.training.small import CPU, StopAt, assert_same_weights, work
from tests.training.test_steering import controller, steered


def test_nothing_of_weights_momenta_averages_and_gates_is_left_behind(tmp_path: Path) -> None:
    halfway = steered(tmp_path, controller())
    with suppress(KeyboardInterrupt):
        fit(halfway, [StopAt(4)])
    held = {tensor.data_ptr() for tensor in halfway.held()}
    needed = [
        *halfway.model.state_dict().values(),
        *(state["momentum_buffer"] for state in halfway.optimizer.state.values()),
        *halfway.average._mean,
        *(t for t in halfway.steering.tensors().values() if t.ndim == 1),
    ]
    assert len(needed) > 40
    assert {tensor.data_ptr() for tensor in needed} == held


def test_what_is_moved_is_held_by_the_same_objects_and_has_no_gradient() -> None:
    layer = torch.nn.Linear(3, 2)
    layer.weight.grad = torch.ones_like(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight.clone()
    move([*layer.parameters()], CPU)
    assert optimizer.param_groups[0]["params"][0] is layer.weight
    assert layer.weight.grad is None
    assert torch.equal(before, layer.weight)


def test_on_a_cpu_there_is_nothing_to_release(tmp_path: Path) -> None:
    made = work(tmp_path)
    weights = work(tmp_path / "other").model
    with memory_released(made):
        assert all(parameter.device == CPU for parameter in made.model.parameters())
    assert_same_weights(made.model, weights)


def test_a_fit_that_waits_is_kept_on_disk_first(tmp_path: Path) -> None:
    made = work(tmp_path)
    made.progress.step = 3
    with set_aside(made, release_memory=False):
        found = made.usable(made.checkpoint)
    assert found is not None
    assert found[1].step == 3
