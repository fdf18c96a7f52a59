"""The controller in a fit: levers move, channels leave, and all of it can be repeated exactly."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from lowtide.artifacts import write_json
from lowtide.controller.decide import decide
from lowtide.controller.knobs import Inputs, Knobs, Levers, Weights
from lowtide.errors import UsageError
from lowtide.models.cost import count_macs
from lowtide.models.factory import Classifier
from lowtide.training import work as module
from lowtide.training.checkpoint import peek_checkpoint
from lowtide.training.fit import BudgetSpent, fit
from lowtide.training.profile import DeviceProfile
from lowtide.training.protocols import Hook
from lowtide.training.record import Reading, Record
from lowtide.training.steering import Controller
from lowtide.training.step import evaluate
from lowtide.training.work import Fit
from tests.training.small import (
    CPU,
    NUM_STEPS,
    RECIPE,
    KillAfter,
    StopAt,
    assert_same_weights,
    work,
)
from tests.training.test_fit import Breaks, Spend, nan_at

LONG = RECIPE.model_copy(update={"epochs": 8})
LEVERS = Levers(batch_sizes=(4, 8, 16), land=True, epochs_min=5, compress=True)
WEIGHTS = Weights(alpha=1.0, beta=2.0, gamma=1.0, energy_kwh=10.0, emissions_g=1000.0)
DEVICE = DeviceProfile({"4": 2.0, "8": 1.0, "16": 0.1}, {}, {"conv3x3": 1e-9, "linear": 2e-9})
PROFILE = Record({}, {}, 8, DEVICE, [])
UNKNOWN = Reading(None, None, None, None, 1.0)


class Meter:
    """A fake that outlives a process, as the ledger does: each look finds another 0.1 kWh."""

    def __init__(self) -> None:
        self.looks = 0

    def read(self) -> Reading:
        self.looks += 1
        used_kwh, used_g = 0.1 * self.looks, 10.0 * self.looks
        return Reading(used_kwh, used_g, used_kwh, used_g, 1.0 + 0.1 * (self.looks % 3))


def controller(
    meter: Meter | None = None,
    recorded: Record | None = PROFILE,
    levers: Levers = LEVERS,
    weights: Weights = WEIGHTS,
    said: list[str] | None = None,
    energy_share_min: float = 0.05,
) -> Controller:
    return Controller(
        weights, levers, seed=0, input_shape=(1, 8, 8), round_to=8,
        energy_share_min=energy_share_min, read=(meter or Meter()).read, inference_j=None,
        spent=(0.0, 0.0), say=(said if said is not None else []).append, recorded=recorded,
    )  # fmt: skip


def steered(folder: Path, steering: Controller) -> Fit:
    return work(folder, LONG, steering)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """A fit that was never interrupted, with every lever on."""
    done = steered(tmp_path_factory.mktemp("whole"), controller())
    fit(done, [])
    return done


def decisions(done: Fit) -> list[dict[str, object]]:
    assert isinstance(done.steering, Controller)
    return done.steering.state.decisions


def record(done: Fit) -> Record:
    """Of a fit, as another process reads it."""
    assert isinstance(done.steering, Controller)
    path = done.checkpoint.with_name("decisions.json")
    write_json(path, done.steering.record().as_json())
    return Record.read(path)


def reasons(done: Fit) -> str:
    return "\n".join(str(reason) for one in decisions(done) for reason in one["reasons"])  # type: ignore[attr-defined]


def test_every_lever_moves(whole: Fit) -> None:
    assert "batch 8 -> 16" in reasons(whole)
    assert "channels\n" in reasons(whole) + "\n"
    assert "gates folded in" in reasons(whole)
    assert "landing at epoch" in reasons(whole)
    assert count_macs(whole.model, (1, 8, 8)) < 0.7 * count_macs(work(Path()).model, (1, 8, 8))
    assert not any(module._forward_hooks for module in whole.model.modules())
    assert whole.progress.position <= whole.knobs.end + whole.epochs_per_step
    assert whole.progress.history[-1]["val_accuracy"] > 0.5


def test_one_decision_for_each_epoch_and_none_at_the_end(whole: Fit) -> None:
    epochs = [one["inputs"]["epoch"] for one in decisions(whole)]  # type: ignore[index]
    assert len(epochs) == len(whole.progress.history)
    assert epochs == sorted(set(epochs))
    assert epochs[-1] < whole.knobs.end


def test_no_channel_leaves_a_model_that_is_finished(tmp_path: Path) -> None:
    """Nothing would be left to train what remains."""
    gates = controller(levers=replace(LEVERS, batch_sizes=()))
    done = work(tmp_path, RECIPE.model_copy(update={"epochs": 2}), gates)
    macs = []

    class Macs(Hook):
        def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
            macs.append(count_macs(done.model, (1, 8, 8)))

    fit(done, [Macs()])
    assert len(decisions(done)) == 2
    assert count_macs(done.model, (1, 8, 8)) == macs[-1]


def test_the_batch_changes_between_epochs_and_the_position_with_it(whole: Fit) -> None:
    """A pass over the data in larger batches has fewer steps, each worth more of an epoch."""
    steps = [
        (one["knobs"]["batch_size"], one["knobs"]["gain"], one["inputs"]["epoch"])  # type: ignore[index]
        for one in decisions(whole)
    ]
    assert {size for size, _, _ in steps} >= {8, 16}
    for (size, gain, epoch), (_, _, then) in pairwise(steps):
        assert then - epoch == pytest.approx(40 // size * gain / NUM_STEPS)


STEPS = [0, 6, 7, 13]


@pytest.mark.parametrize("step", STEPS)
def test_interrupted_anywhere_it_ends_with_the_same_weights(
    tmp_path: Path, whole: Fit, step: int
) -> None:
    """Repeating the record: before, in and right after an epoch in which channels leave."""
    with pytest.raises(KeyboardInterrupt):
        fit(steered(tmp_path, controller(recorded=record(whole))), [StopAt(step)])
    resumed = steered(tmp_path, controller(recorded=record(whole)))
    fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)
    assert resumed.knobs == whole.knobs
    assert [one["knobs"] for one in decisions(resumed)] == [
        one["knobs"] for one in decisions(whole)
    ]


@pytest.mark.parametrize("step", [2, 14])
def test_killed_and_live_it_decides_the_same_when_the_meter_says_the_same(
    tmp_path: Path, whole: Fit, step: int
) -> None:
    meter = Meter()
    with pytest.raises(KeyboardInterrupt):
        fit(steered(tmp_path, controller(meter)), [KillAfter(step)])
    resumed = steered(tmp_path, controller(meter))
    fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)
    assert json.dumps(decisions(resumed)) == json.dumps(decisions(whole))
    assert meter.looks == len(decisions(whole))


@pytest.mark.parametrize("step", [4, 9])
def test_killed_within_an_epoch_it_has_its_gates_and_sums_as_they_were(
    tmp_path: Path, whole: Fit, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY_S", 0.0)
    meter = Meter()
    with pytest.raises(KeyboardInterrupt):
        fit(steered(tmp_path, controller(meter)), [KillAfter(step)])
    resumed = steered(tmp_path, controller(meter))
    assert resumed.progress.step > 0
    assert fit(resumed, []) == whole.progress.history
    assert_same_weights(whole.model, resumed.model)
    assert json.dumps(decisions(resumed)) == json.dumps(decisions(whole))


def test_killed_over_and_over_it_gets_there_all_the_same(tmp_path: Path, whole: Fit) -> None:
    for _ in range(20):
        work_now = steered(tmp_path, controller(recorded=record(whole)))
        try:
            fit(work_now, [StopAt(9)])
            break
        except KeyboardInterrupt:
            continue
    assert_same_weights(whole.model, work_now.model)
    assert len(decisions(work_now)) == len(decisions(whole))


def test_what_was_decided_follows_from_what_was_logged(whole: Fit) -> None:
    """From the record's JSON alone, with the same weights and levers."""
    before, compress = Knobs(8, "fp32", end=LONG.epochs), LEVERS.compress
    for one in record(whole).decisions:
        levers = replace(LEVERS, compress=compress)
        decision = decide(Inputs.of(one["inputs"]), before, 8, WEIGHTS, levers)
        assert decision.knobs == Knobs(**one["knobs"])
        assert list(decision.reasons) == one["reasons"][: len(decision.reasons)]
        before, compress = decision.knobs, one["energy_share"] is not None


def test_gates_get_the_gradient_of_the_mean_loss_from_halves_and_from_the_whole(
    tmp_path: Path,
) -> None:
    """Every tenth step is taken in two halves; without a norm they give the same gradient."""
    gradients = []
    for sizes in ((), (8, 16)):
        done = steered(tmp_path, controller(levers=replace(LEVERS, batch_sizes=sizes)))
        torch.manual_seed(0)
        done.model = Classifier(
            nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 4)),
            (120.0,), (60.0,),
        )  # fmt: skip
        done.steering.next_epoch(done)
        done.steering.backward(done, next(iter(done.train.epoch(0))))
        assert isinstance(done.steering, Controller)
        assert (done.steering.state.noise.num_measured == 1) == bool(sizes)
        learning = done.steering._learning
        assert learning is not None
        parameters = [*learning.gates.logits, *done.model.parameters()]
        gradients.append([p.grad for p in parameters])
    for whole_batch, halves in zip(*gradients, strict=True):
        assert whole_batch is not None
        assert torch.allclose(whole_batch, halves, atol=1e-6)


def test_energy_that_is_unknown_moves_neither_end_nor_precision(tmp_path: Path) -> None:
    steering = controller()
    steering.read = lambda: UNKNOWN
    done = steered(tmp_path, steering)
    fit(done, [])
    assert done.knobs.end == LONG.epochs
    assert done.progress.position == pytest.approx(LONG.epochs, abs=2 * done.epochs_per_step)
    assert "landing" not in reasons(done)


def test_a_projection_over_the_budget_presses_channels_out_and_ends_in_time(
    tmp_path: Path,
) -> None:
    """Each epoch takes about 0.1 kWh; the budget is for five of eight."""
    tight = replace(WEIGHTS, energy_kwh=0.5)
    levers = replace(LEVERS, land=False, batch_sizes=())
    done = steered(tmp_path, controller(levers=levers, weights=tight))
    fit(done, [])
    assert done.knobs.pressed
    assert done.knobs.end < LONG.epochs
    assert len(done.progress.history) <= 5
    text = reasons(done)
    assert text.index("channels leave") < text.index("end at epoch")


def test_validation_sees_gates_at_rest(tmp_path: Path) -> None:
    """What is reported of an epoch is what the folded model then gives."""
    levers = replace(LEVERS, land=False, batch_sizes=())
    weights = replace(WEIGHTS, beta=0.1, gamma=0.0)
    done = work(
        tmp_path,
        RECIPE.model_copy(update={"epochs": 1}),
        controller(levers=levers, weights=weights),
    )
    (row,) = fit(done, [])
    loss, accuracy = evaluate(done.model, done.val, CPU, "fp32")
    assert loss == pytest.approx(row["val_loss"], rel=1e-4)
    assert accuracy == row["val_accuracy"]


class Worse(Hook):
    """From the third epoch on nothing is better than what was."""

    def __init__(self, work: Fit) -> None:
        self.work = work

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        if epoch == 2:
            self.work.progress.best_accuracy = 1.0


@pytest.mark.parametrize(("epochs", "land"), [(2, False), (2, True), (7, False)])
def test_a_spent_budget_gives_the_best_epoch_back_with_its_gates(
    tmp_path: Path, epochs: int, land: bool
) -> None:
    """While the gates are there and after they were folded in; `land` averages weights."""
    levers = replace(LEVERS, land=land, epochs_min=99, batch_sizes=())
    done = steered(tmp_path, controller(levers=levers))
    history = fit(done, [Worse(done), Spend(done, epochs * NUM_STEPS + 2)])
    assert done.progress.over_budget
    assert ("gates folded in" in reasons(done)) == (epochs == 7)
    best = max(history[:2], key=lambda row: row["val_accuracy"])  # the first of equals
    loss, accuracy = evaluate(done.model, done.val, CPU, "fp32")
    assert accuracy == best["val_accuracy"]
    assert loss == pytest.approx(best["val_loss"], rel=1e-3)
    assert not any(module._forward_hooks for module in done.model.modules())
    assert len(decisions(done)) == len(history) + 1  # what was decided since is still told


def test_a_budget_of_less_than_an_epoch_leaves_nothing(tmp_path: Path) -> None:
    done = steered(tmp_path, controller())
    with pytest.raises(BudgetSpent):
        fit(done, [Spend(done, 2)])


@pytest.mark.parametrize("call", [3, 12])
def test_a_loss_that_is_not_finite_is_survived_with_gates_and_momentum(
    tmp_path: Path, call: int
) -> None:
    done = steered(tmp_path, controller())
    done.loss = nan_at(call)
    history = fit(done, [])
    assert done.progress.restores == 1
    assert done.knobs.rate_factor == 0.5
    assert all(torch.isfinite(tensor).all() for tensor in done.model.state_dict().values())
    assert len(decisions(done)) == len(history)


def test_weights_that_broke_before_channels_left_come_back_in_their_size(tmp_path: Path) -> None:
    done = steered(tmp_path, controller())
    fit(done, [Breaks(done.model, 2 * NUM_STEPS)])
    assert done.progress.restores == 1
    assert done.progress.history[-1]["val_accuracy"] > 0.5


def test_a_model_without_gates_is_steered_by_the_other_levers(tmp_path: Path) -> None:
    said: list[str] = []
    steering = controller(said=said)
    done = steered(tmp_path, steering)
    done.model = Classifier(
        nn.Sequential(nn.Conv2d(1, 16, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.Flatten(),
                      nn.Linear(576, 4)), (120.0,), (60.0,),
    )  # fmt: skip
    done.__post_init__()
    fit(done, [])
    assert "net.0 keeps its channels: net.1 norms each channel by all of them" in said
    assert decisions(done)[0]["energy_share"] is None
    assert "batch 8 -> 16" in reasons(done)


class Waited(Meter):
    """The same work, with a long wait in its first epoch."""

    def read(self) -> Reading:
        reading = super().read()
        waited_kwh = 2.0 if self.looks > 1 else 0.0
        return replace(
            reading, energy_kwh=reading.active_energy_kwh + waited_kwh,  # type: ignore[operator]
            emissions_g=reading.active_emissions_g + 200 * waited_kwh,  # type: ignore[operator]
        )  # fmt: skip


def test_a_wait_is_no_cost_of_an_epoch(tmp_path: Path, whole: Fit) -> None:
    """It is paid out of the budget, and the epochs that follow are as cheap as before."""
    waited = steered(tmp_path, controller(Waited()))
    fit(waited, [])
    assert_same_weights(whole.model, waited.model)
    of_epochs = [one["inputs"]["epoch_energy_kwh"] for one in decisions(waited)[1:]]  # type: ignore[index]
    assert of_epochs == [one["inputs"]["epoch_energy_kwh"] for one in decisions(whole)[1:]]  # type: ignore[index]
    assert decisions(waited)[-1]["inputs"]["energy_kwh"] > 2.0  # type: ignore[index]


def test_pressure_follows_the_intensity_of_the_grid(whole: Fit) -> None:
    pressures = [one["pressure"] for one in decisions(whole)[:3]]
    assert pressures == pytest.approx([2 + 1.1, 2 + 1.2, 2 + 1.0])


def test_the_checkpoint_tells_the_energy_so_far(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(steered(tmp_path, controller()), [StopAt(6)])
    progress = peek_checkpoint(tmp_path / "train.safetensors", "mark")
    assert progress is not None
    position, kwh, grams = progress.steering["last"]  # type: ignore[misc]
    assert (position, kwh, grams) == (1.0, pytest.approx(0.2), pytest.approx(20.0))


def test_gates_need_decisions_of_a_run_with_gates(tmp_path: Path) -> None:
    without = Record({}, {}, 8, DeviceProfile(), [])
    with pytest.raises(UsageError, match=r"set controller\.gates to false"):
        fit(steered(tmp_path, controller(recorded=without)), [])


@pytest.mark.parametrize("content", ['{"accuracy": 0.9}', "train: {epochs: 8}\n"])
def test_a_file_without_decisions_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="holds no decisions"):
        Record.read(path)
