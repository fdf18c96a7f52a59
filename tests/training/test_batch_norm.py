"""Two processes with half a batch each normalise as one with the whole of it."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from lowtide.training.batch_norm import over_all_processes
from lowtide.training.world import World
from tests.training.processes import in_processes

LAYERS = {
    "plain": lambda: nn.BatchNorm2d(5),
    "mean of all batches": lambda: nn.BatchNorm2d(5, momentum=None),
    "no weights": lambda: nn.BatchNorm2d(5, affine=False),
    "no statistics": lambda: nn.BatchNorm2d(5, track_running_stats=False),
}


def images(seed: int, mean: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 5, 3, 4, generator=generator) + mean * torch.arange(5).view(1, 5, 1, 1)


def passed(
    world: World, kind: str, dtype: torch.dtype = torch.float64, mean: float = 1.0
) -> dict[str, Tensor]:
    """Outputs, gradients and statistics after three steps; gradients of weights are summed."""
    torch.manual_seed(0)
    layer = LAYERS[kind]().to(dtype)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    found: dict[str, Tensor] = {}
    with over_all_processes(layer, world):
        for step in range(3):
            inputs = images(step, mean)[world.rank :: world.size].to(dtype).requires_grad_()
            outputs = layer(inputs)
            weights = images(9)[world.rank :: world.size].to(dtype)
            (outputs.sin() * weights).sum().backward()
            found |= {f"outputs{step}": outputs.detach(), f"inputs{step}": inputs.grad}
        for name, parameter in layer.named_parameters():
            world.add_(parameter.grad)
            found[name] = parameter.grad
    assert type(layer) is nn.BatchNorm2d
    return found | {name: tensor.clone() for name, tensor in layer.state_dict().items()}


def in_turns(name: str, parts: list[dict[str, Tensor]]) -> Tensor:
    """What the processes have of a batch, put together; of the rest all have the same."""
    if not name.startswith(("inputs", "outputs")):
        assert torch.equal(parts[0][name], parts[1][name])
        return parts[0][name]
    return torch.stack([part[name] for part in parts], dim=1).flatten(0, 1)


@pytest.mark.parametrize("kind", LAYERS)
def test_two_processes_normalise_as_one(kind: str) -> None:
    alone = passed(World(), kind)
    parts = in_processes(2, passed, kind)
    for name, tensor in alone.items():
        found = in_turns(name, parts)
        assert torch.allclose(found, tensor, rtol=1e-9, atol=1e-9), name


def test_float32_keeps_the_variance_of_channels_with_a_large_mean() -> None:
    """A naive variance would be rounded away: the largest mean is 4000 times the deviation."""
    alone = passed(World(), "plain", torch.float64, 1000.0)
    parts = in_processes(2, passed, "plain", torch.float32, 1000.0)
    for name in ("outputs2", "running_var", "weight", "bias"):
        found = in_turns(name, parts).double()
        assert torch.allclose(found, alone[name], rtol=1e-3, atol=1e-3), name


def half_precision(world: World) -> tuple[Tensor, Tensor]:
    layer = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16)).train()
    inputs = torch.randn(4, 3, 8, 8, requires_grad=True)
    with over_all_processes(layer, world), torch.autocast("cpu", torch.bfloat16):
        outputs = layer(inputs)
        outputs.float().square().mean().backward()
    assert inputs.grad is not None
    return outputs.detach(), inputs.grad


def test_bfloat16_goes_through() -> None:
    for outputs, gradient in in_processes(2, half_precision):
        assert outputs.dtype == torch.bfloat16
        assert gradient.isfinite().all()


def test_a_copied_layer_and_validation_need_nobody() -> None:
    """Steps are timed on copies; in evaluation the running statistics hold."""
    assert in_processes(2, evaluated) == [True, True]


def evaluated(world: World) -> bool:
    model = nn.Sequential(nn.BatchNorm2d(5))
    with over_all_processes(model, world):
        copied = deepcopy(model).train()
        copied(images(0).float())
        assert int(copied[0].num_batches_tracked) == 1
        assert int(model[0].num_batches_tracked) == 0
        model.eval()
        if world.rank == 0:
            assert torch.allclose(model(images(0).float()), images(0).float(), rtol=1e-4)
    return True
