"""Gates multiply channels, cost what they are open, and can be written into the weights."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.nn import functional as F

from lowtide.objective.gates import Gates
from lowtide.objective.removal import remove_channels
from tests.objective import nets
from tests.objective.nets import COST, NETS, SHAPE, images, made

LABELS = torch.arange(5) % 4


def gated(name: str) -> tuple[nn.Module, Gates]:
    model = made(name)
    return model, Gates(model, SHAPE, COST)


def close_every_second(gates: Gates) -> list[list[int]]:
    """Every other gate is shut for certain, and the others are open."""
    with torch.no_grad():
        for logits in gates.logits:
            logits[0::2], logits[1::2] = -8.0, 8.0
    gates.settle()
    return [list(range(0, len(logits), 2)) for logits in gates.logits]


def test_probability_and_energy_have_the_right_gradients() -> None:
    _, gates = gated("residual")
    gates.double()
    logits = tuple(gates.logits)
    assert gradcheck(lambda *_: gates.energy_share(), logits)
    assert gradcheck(lambda *_: tuple(gates.open_probability()), logits)


def test_the_loss_reaches_the_logits_through_a_draw() -> None:
    """Against central differences of the whole model's loss with the same draw."""
    model, gates = gated("plain")
    model.double(), gates.double()

    def loss() -> torch.Tensor:
        gates.draw((1, 2, 3))
        return F.cross_entropy(model(images().double()), LABELS)

    loss().backward()
    gates.pull()
    found = 0
    for logits in gates.logits:
        assert logits.grad is not None
        for index in range(len(logits)):
            values = []
            for move in (1e-5, -2e-5):
                logits.data[index] += move
                values.append(loss().item())
            logits.data[index] += 1e-5
            slope = (values[0] - values[1]) / 2e-5
            assert logits.grad[index].item() == pytest.approx(slope, abs=1e-7)
            found += slope != 0
    assert found > 3  # the other gates are fully open or shut in this draw


def test_the_gradient_of_several_backwards_is_pulled_at_once_and_scaled() -> None:
    model, gates = gated("plain")

    def gradients(times: int, scale: float) -> list[torch.Tensor]:
        gates.zero_grad()
        gates.draw((0,))
        for _ in range(times):
            F.cross_entropy(model(images()), LABELS).backward()
        gates.pull(scale)
        return [logits.grad.clone() for logits in gates.logits if logits.grad is not None]

    for once, halves in zip(gradients(1, 1.0), gradients(2, 0.5), strict=True):
        assert once.abs().sum() > 0
        assert torch.allclose(once, halves)


def test_the_same_seed_gives_the_same_draw() -> None:
    model, gates = gated("residual")
    outputs = []
    for seed in ((0, 1, 2), (0, 1, 2), (0, 1, 3)):
        gates.draw(seed)
        outputs.append(model(images()).detach())
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])


def test_energy_is_nearly_whole_at_the_start_and_falls_with_the_gates() -> None:
    _, gates = gated("residual")
    shares = [gates.energy_share().item()]
    for _ in range(4):
        with torch.no_grad():
            for logits in gates.logits:
                logits -= 2
        shares.append(gates.energy_share().item())
    assert 0.9 < shares[0] < 1
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.1
    assert gates.num_closed(0.3) == [len(logits) for logits in gates.logits]


def test_a_share_can_be_of_a_larger_model() -> None:
    model, gates = gated("plain")
    half = Gates(model, SHAPE, COST, 2 * gates.reference_j)
    assert half.energy_share().item() == pytest.approx(gates.energy_share().item() / 2)


@pytest.mark.parametrize("name", NETS)
def test_shut_channels_are_as_good_as_gone(name: str) -> None:
    """The outputs are those of the model from which they were physically removed."""
    model, gates = gated(name)
    whole = model(images()).detach()
    leaving = close_every_second(gates)
    assert gates.groups
    assert not gates.refused
    shut = model(images()).detach()
    gates.detach()
    assert torch.equal(model(images()), whole)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    remove_channels(model, SHAPE, gates.groups, leaving, optimizer)
    assert not torch.allclose(shut, whole, atol=1e-3)
    assert torch.allclose(model.eval()(images()), shut, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_folding_leaves_the_outputs_at_rest(name: str) -> None:
    model, gates = gated(name)
    with torch.no_grad():
        for index, logits in enumerate(gates.logits):
            logits.copy_(torch.linspace(-3 - index, 3, len(logits)))
    gates.settle()
    at_rest = model(images()).detach()
    gates.draw((0,))  # of a step of training
    gates.fold(model)
    assert torch.allclose(model(images()), at_rest, atol=1e-5)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        (nets.Added(norm=False), ["body", "stem.0"]),  # one with a norm and one without
        (nets.one_block(nn.GroupNorm(4, 16)), ["0"]),  # looks at other channels, too
        (nets.one_block(nn.BatchNorm2d(16, affine=False)), ["0"]),  # nothing to fold into
        (nets.one_block(nn.ConvTranspose2d(16, 16, 1)), ["1"]),  # no kind that is known
        (nets.one_block(nn.Conv2d(16, 32, 3, groups=16), nn.Conv2d(32, 16, 1)), ["0"]),
        (nets.one_block(nn.Conv2d(16, 8, 3, groups=8), nn.Conv2d(8, 16, 1)), ["0", "1"]),
        (nets.one_block(nn.Flatten(2), nn.Conv1d(16, 16, 3, groups=2), nn.Unflatten(2, (2, 17))),
         ["0", "2"]),
    ],
)  # fmt: skip
def test_what_cannot_be_gated_is_named_and_left_alone(model: nn.Module, refused: list[str]) -> None:
    before = model(images()).detach()
    gates = Gates(model, SHAPE, COST)
    assert set(gates.refused) == set(refused)
    assert not {group.root for group in gates.groups} & set(refused)
    gates.draw((0,))
    if not gates.groups:
        assert torch.equal(model(images()), before)
        assert gates.energy_share().item() == pytest.approx(1)


def test_the_outputs_of_the_last_layer_stay_wherever_it_is_defined() -> None:
    for name in ("head first", "residual"):
        _, gates = gated(name)
        written = {layer for group in gates.groups for layer in group.written}
        assert not any("head" in layer for layer in written)


def test_a_model_of_one_layer_has_no_gates() -> None:
    gates = Gates(nets.logistic_regression(), SHAPE, COST)
    assert gates.groups == []
    assert gates.refused == {}
    assert gates.energy_share().item() == pytest.approx(1)


def test_looking_at_a_model_does_not_change_it() -> None:
    model = made("residual").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Gates(model, SHAPE, COST).detach()
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
