"""Gates are learnt beside the weights, and leave with their channels, their momenta kept."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lowtide.models.cost import count_macs
from lowtide.objective.learning import GateLearning
from tests.objective import nets
from tests.objective.nets import COST, NETS, SHAPE, images, made

LABELS = torch.arange(5) % 4


def learning(model: nn.Module, num_steps: int = 1000) -> GateLearning:
    return GateLearning(model, SHAPE, COST, num_steps)


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def step(
    learnt: GateLearning, model: nn.Module, optimizer: torch.optim.Optimizer, index: int
) -> float:
    optimizer.zero_grad(set_to_none=True)
    learnt.gates.draw((0, index))
    loss = F.cross_entropy(model.train()(images()), LABELS)
    loss.backward()
    learnt.gates.pull()
    learnt.penalty(0.3).backward()
    optimizer.step()
    learnt.step()
    return loss.item()


def close(learnt: GateLearning, group: int, num_closed: int) -> None:
    with torch.no_grad():
        logits = learnt.gates.logits[group]
        in_turns = learnt.gates.groups[group].in_turns(torch.arange(len(logits)))
        logits[in_turns[:num_closed]] = -9.0


def test_pressure_alone_closes_gates_and_the_expected_energy_falls() -> None:
    learnt = learning(made("residual"), num_steps=20)
    shares = [learnt.share()]
    for _ in range(6):
        learnt.penalty(1.0).backward()
        learnt.step()
        shares.append(learnt.share())
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.5 * shares[0]


def test_twice_the_pressure_is_twice_the_gradient() -> None:
    learnt = learning(made("plain"))
    gradients = []
    for pressure in (0.2, 0.4):
        learnt.gates.zero_grad()
        learnt.penalty(pressure).backward()
        gradients.append(learnt.gates.logits[0].grad)
    assert torch.allclose(2 * gradients[0], gradients[1])


@pytest.mark.parametrize("name", NETS)
def test_closed_channels_leave_without_a_change_of_the_outputs(name: str) -> None:
    model = made(name)
    learnt, optimizer = learning(model), sgd(model)
    for index in range(2):
        step(learnt, model, optimizer, index)
    close(learnt, 0, 5)
    learnt.gates.settle()
    before, macs = model.eval()(images()), count_macs(model, SHAPE)
    reference = learnt.gates.reference_j
    size = learnt.gates.groups[0].num_channels
    removed = learnt.remove(model, optimizer, 0.3, 4)
    assert [(one.before, one.after) for one in removed] == [(size, size - 4)]
    learnt.gates.settle()
    assert torch.allclose(model.eval()(images()), before, atol=1e-5)
    assert count_macs(model, SHAPE) < macs
    assert learnt.gates.reference_j == reference  # shares stay those of the whole model
    assert torch.isfinite(torch.tensor(step(learnt, model, sgd(model), 3)))


def test_nothing_leaves_before_a_whole_multiple_is_closed_and_one_stays() -> None:
    model = made("plain")
    learnt, optimizer = learning(model), sgd(model)
    gates = learnt.gates
    assert learnt.remove(model, optimizer, 0.3, 8) == []
    close(learnt, 0, 7)
    assert learnt.remove(model, optimizer, 0.3, 8) == []
    assert learnt.gates is gates
    for group in (0, 1):
        close(learnt, group, 24)
    removed = learnt.remove(model, optimizer, 0.3, 8)
    assert {one.after for one in removed} == {8}


def test_under_pressure_gates_that_are_nearly_closed_leave_too() -> None:
    learnt = learning(made("plain"))
    with torch.no_grad():
        learnt.gates.logits[0][:] = -1.5  # open with a probability of 0.52
    assert learnt.gates.num_closed(0.3)[0] == 0
    assert learnt.gates.num_closed(0.6)[0] == learnt.gates.groups[0].num_channels


def test_logits_and_their_momenta_follow_the_channels_that_stay() -> None:
    model = made("plain")
    learnt, optimizer = learning(model), sgd(model)
    for index in range(3):
        step(learnt, model, optimizer, index)
    close(learnt, 0, 4)
    before = {name: tensor.clone() for name, tensor in learnt.tensors().items()}
    assert {name.split(".")[1] for name in before} == {"logits", "exp_avg", "exp_avg_sq", "step"}
    learnt.remove(model, optimizer, 0.3, 4)
    after = learnt.tensors()
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        expected = tensor[4:] if name.startswith("0.") and tensor.ndim else tensor
        assert torch.equal(after[name], expected), name


def test_what_was_saved_goes_on_as_if_nothing_had_happened() -> None:
    runs = []
    for interrupted in (False, True):
        model = made("plain")
        learnt, optimizer = learning(model), sgd(model)
        for index in range(6):
            if interrupted and index == 3:
                saved = {name: tensor.clone() for name, tensor in learnt.tensors().items()}
                learnt.gates.detach()
                learnt = learning(model)
                learnt.load(saved)
            step(learnt, model, optimizer, index)
        runs.append([*learnt.gates.logits, *model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def test_a_model_without_a_gate_has_nothing_to_learn() -> None:
    learnt = learning(nets.logistic_regression())
    assert learnt.tensors() == {}
    assert learnt.share() == pytest.approx(1)
