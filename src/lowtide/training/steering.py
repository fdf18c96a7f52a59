"""The controller at work: what it measures in a fit, and how its decisions are put into effect."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor

from lowtide.controller.decide import decide
from lowtide.controller.knobs import Decision, Inputs, Levers, Weights, told
from lowtide.data.batches import Batch
from lowtide.energy.sources import KWH_IN_J
from lowtide.errors import UsageError
from lowtide.objective.exactness import REASON
from lowtide.objective.learning import GateLearning
from lowtide.objective.removal import adopt_momentum
from lowtide.training.profile import measure
from lowtide.training.recipe import make_optimizer
from lowtide.training.record import Reading, Record, State
from lowtide.training.step import backward
from lowtide.training.work import Fit

NOISE_EVERY = 10  # steps between two looks at the gradient's noise, at least
NOISE_LOOKS = 100  # in a fit, at most: each costs a part of a step
GATED = 0.6  # share of the epochs with gates: then they are folded in, and the rest is fine-tuning
CLOSED = 0.3  # probability of being open below which a channel leaves
PRESSED = 0.6  # the same once the projection passes the budget


@dataclass
class Controller:
    """Steering by `controller.decide`, once an epoch.

    inference_j: what an inference may take; gates press by how many times the network takes it,
    with None as if it were once.
    recorded: what a former run has measured and decided, which is taken instead of new figures.
    """

    weights: Weights
    levers: Levers
    seed: int
    input_shape: tuple[int, int, int]
    round_to: int
    energy_share_min: float
    read: Callable[[], Reading]
    inference_j: float | None
    spent: tuple[float | None, float | None]  # kWh and grams of the stages before
    say: Callable[[str], None]
    recorded: Record | None = None
    state: State = field(default_factory=State)
    _learning: GateLearning | None = None
    _base_size: int = 0

    @property
    def lands(self) -> bool:
        return self.levers.land

    def resume(self, work: Fit, extra: dict[str, Tensor]) -> None:
        if self._learning is not None:
            self._learning.gates.detach()
            self._learning = None
        decisions, self.state = self.state.decisions, State.of(work.progress.steering)
        if work.progress.over_budget:  # back at the best epoch: what was decided since is told
            self.state.decisions = decisions
        if self.state.gates:
            self._learning = self._attach(work)
            self._learning.load(extra)

    def next_epoch(self, work: Fit) -> None:
        self._base_size = work.train.batch_size
        if work.progress.epoch == 0:
            self._profile(work)
        reading, inputs = work.world.share(lambda: self._looked(work))
        decision = self._decide(work, inputs)
        work.progress.knobs = decision.knobs
        reasons = [*decision.reasons, *self._compress(work)]
        self.state.pressure = self._pressure(reading)
        self.state.decisions.append(
            {
                "inputs": asdict(inputs), "knobs": asdict(decision.knobs), "reasons": reasons,
                "pressure": self.state.pressure, "energy_share": self.share,
            }
        )  # fmt: skip
        for reason in reasons:
            self.say(f"epoch {inputs.epoch:.1f}: {reason}")
        self.state.last = (inputs.epoch, reading.active_energy_kwh, reading.active_emissions_g)
        work.progress.steering = asdict(self.state)

    def _looked(self, work: Fit) -> tuple[Reading, Inputs]:
        reading = self.read()
        return reading, self._inputs(work, reading)

    def backward(self, work: Fit, batch: Batch) -> float:
        step = work.progress.step
        if self._learning is not None:
            self._learning.gates.draw((self.seed, work.progress.epoch, step))
        measured = step % self._noise_every(work) == 0 and len(batch.labels) > 1
        measured = measured and bool(self.levers.batch_sizes)
        loss = self._in_halves(work, batch) if measured else backward(work, batch)
        if self._learning is not None:
            work.world.average_(self._learning.gates.gradients())
            self._learning.gates.pull(0.5 if measured else 1.0)
            self._learning.penalty(self.state.pressure).backward()  # type: ignore[no-untyped-call]
        return loss

    def after_update(self) -> None:
        if self._learning is not None:
            self._learning.step()

    def settle(self) -> None:
        if self._learning is not None:
            self._learning.gates.settle()

    def tensors(self) -> dict[str, Tensor]:
        return {} if self._learning is None else self._learning.tensors()

    def held(self) -> list[Tensor]:
        return [] if self._learning is None else self._learning.held()

    def finish(self, work: Fit) -> None:
        self._fold(work)

    @property
    def share(self) -> float | None:
        """Expected energy of an inference over that of the whole model, while there are gates."""
        return None if self._learning is None else self._learning.share()

    def record(self) -> Record:
        state = self.state
        return Record(
            asdict(self.weights), asdict(self.levers), self._base_size, state.device,
            state.decisions,
        )  # fmt: skip

    def _pressure(self, reading: Reading) -> float:
        """What the share of energy per inference weighs beside the loss of the labels."""
        index = len(self.state.decisions)
        if self.recorded is not None and index < len(self.recorded.decisions):
            return float(self.recorded.decisions[index]["pressure"])
        weights = self.weights
        pressure = (weights.beta + weights.gamma * reading.intensity) / weights.alpha
        if self._learning is None or self.inference_j is None or not self.state.device.in_joules:
            return pressure
        return pressure * self.state.reference_j / self.inference_j

    def _profile(self, work: Fit) -> None:
        """What an image costs here by batch size, and a multiply-add by kind of layer."""
        if self.recorded is not None:
            self.state.device = self.recorded.device
            if self.levers.compress and not self.state.device.per_mac:
                raise UsageError(
                    "controller.decisions is of a run without gates: set controller.gates to false"
                )
        else:
            self.state.device = measure(work, self.levers, self._energy_j, self.say)
        if self.levers.compress:
            self._begin_gates(work)

    def _energy_j(self) -> float | None:
        energy_kwh = self.read().active_energy_kwh
        return None if energy_kwh is None else energy_kwh * KWH_IN_J

    def _begin_gates(self, work: Fit) -> None:
        learning = self._attach(work)
        for name, reason in learning.gates.refused.items():
            self.say(f"{name} keeps its channels: {reason}")
        for name in sorted(learning.inexact):
            self.say(f"{name} keeps its channels: {REASON}")
        if learning.gates.groups:
            self._learning, self.state.gates = learning, True
            self.state.reference_j = learning.gates.reference_j

    def _attach(self, work: Fit) -> GateLearning:
        num_steps = work.recipe.epochs * len(work.train)
        return GateLearning(
            work.model, self.input_shape, self.state.device.per_mac, num_steps,
            self.state.reference_j or None,
        )  # fmt: skip

    def _inputs(self, work: Fit, reading: Reading) -> Inputs:
        epoch_kwh = epoch_g = None
        if self.state.last is not None and work.progress.position > self.state.last[0]:
            position, kwh, grams = self.state.last
            passed = work.progress.position - position
            epoch_kwh = _rate(reading.active_energy_kwh, kwh, passed)
            epoch_g = _rate(reading.active_emissions_g, grams, passed)
        device, history = self.state.device, work.progress.history
        return Inputs(
            work.progress.position, told(row["val_loss"] for row in history),
            self.state.noise.images,
            {int(size): joules for size, joules in device.per_image.items()},
            device.by_precision, reading.energy_kwh, reading.emissions_g, epoch_kwh,
            epoch_g, *self.spent, tuple(row["val_accuracy"] for row in history[-1:]),
            device.small_image, reading.active_energy_kwh,
        )  # fmt: skip

    def _decide(self, work: Fit, inputs: Inputs) -> Decision:
        index = len(self.state.decisions)
        if self.recorded is not None and index < len(self.recorded.decisions):
            content = self.recorded.decisions[index]
            own = {"rate_factor": work.knobs.rate_factor}  # this run's losses are its own
            knobs = replace(work.knobs, **(content["knobs"] | own))
            return Decision(knobs, tuple(content["reasons"]))
        levers = replace(self.levers, compress=self._learning is not None)
        return decide(inputs, work.knobs, self._base_size, self.weights, levers)

    def _compress(self, work: Fit) -> list[str]:
        """Closed channels leave; gates that have done their work are folded in."""
        if self._learning is None or work.progress.epoch == 0:
            return []
        work.world.align_([logit.detach() for logit in self._learning.gates.logits])
        at_most = PRESSED if work.knobs.pressed else CLOSED
        removed = self._learning.remove(work.model, work.optimizer, at_most, self.round_to)
        if removed:
            work.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            work.optimizer = make_optimizer(work.model, work.recipe)
            adopt_momentum(work.model, work.optimizer)
        reasons = [f"{one.root}: {one.before} -> {one.after} channels" for one in removed]
        share = self._learning.share()
        if work.progress.position >= GATED * work.knobs.end or share <= self.energy_share_min:
            reasons.append(f"gates folded in at {share:.0%} of the energy of an inference")
            self._fold(work)
        return reasons

    def _fold(self, work: Fit) -> None:
        if self._learning is not None:
            self._learning.gates.fold(work.model)
            self._learning, self.state.gates = None, False

    def _noise_every(self, work: Fit) -> int:
        return max(NOISE_EVERY, work.recipe.epochs * len(work.train) // NOISE_LOOKS)

    def _in_halves(self, work: Fit, batch: Batch) -> float:
        """The gradient from two halves of the batch, and the noise between them.

        Batch norms see halves; of an odd number of images in a process one is left out.
        """
        half = len(batch.labels) // 2
        parts = [
            Batch(batch.images[part], batch.labels[part], batch.rows[part], batch.view)
            for part in (slice(0, half), slice(half, 2 * half))
        ]
        losses = [backward(work, parts[0])]
        half_norm2 = _norm2(work)
        losses.append(backward(work, parts[1]))
        for gradient in _gradients(work):
            gradient.mul_(0.5)
        self.state.noise.measure(half_norm2, _norm2(work), 2 * half * work.world.size)
        work.progress.steering["noise"] = asdict(self.state.noise)
        return sum(losses) / 2


def _gradients(work: Fit) -> list[Tensor]:
    return [p.grad for p in work.model.parameters() if p.grad is not None]


def _norm2(work: Fit) -> float:
    """Squared norm of the whole gradient."""
    return float(torch.nn.utils.get_total_norm(_gradients(work)) ** 2)


def _rate(now: float | None, before: float | None, passed: float) -> float | None:
    return None if now is None or before is None else (now - before) / passed
