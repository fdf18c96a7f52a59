"""What the next interval of training is run with: the knobs that minimise one scalar.

L = alpha L_accuracy + beta E / E_budget + gamma C / C_budget, predicted to the end. A pure function
of what was measured: the same inputs give the same knobs, so that a log can be replayed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

from lowtide.controller.noise import gain

Precision = Literal["fp32", "bf16"]
CLEARLY = 0.97  # a batch size is changed for one that costs at most this share
LANDING = 0.4  # epochs that a landing takes, for each epoch that is done
RECENT = 2  # epochs over which the gain of another one is judged


@dataclass(frozen=True)
class Weights:
    """alpha, beta, gamma, and the budgets that energy and emissions are counted in."""

    alpha: float
    beta: float
    gamma: float
    energy_kwh: float
    emissions_g: float

    def cost(self, energy_kwh: float, emissions_g: float) -> float:
        """Of some energy and emissions, in units of the scalar."""
        energy = self.beta * energy_kwh / self.energy_kwh if self.beta else 0.0
        carbon = self.gamma * emissions_g / self.emissions_g if self.gamma else 0.0
        return energy + carbon


@dataclass(frozen=True)
class Levers:
    """What the controller may move."""

    batch_sizes: tuple[int, ...]  # empty: the batch stays
    land: bool
    epochs_min: int
    compress: bool  # channels may leave
    accuracy_target: float | None = None  # of validation; enough


@dataclass(frozen=True)
class Knobs:
    """What an interval is run with. Epochs are counted in steps of the base batch (`gain`)."""

    batch_size: int
    precision: Precision
    gain: float = 1.0
    end: float = 0.0  # epoch at which the learning rate is 0
    landing_from: float | None = None  # where the rate leaves its cycle for `end`
    cut: bool = False  # by a budget: what is kept in the end is the best epoch
    landed: bool = False  # since another epoch is not worth it
    rate_factor: float = 1.0  # after a loss that was not finite
    pressed: bool = False  # channels that are nearly closed leave, too


@dataclass(frozen=True)
class Inputs:
    """What was measured up to the start of an interval."""

    epoch: float
    val_losses: tuple[float, ...]
    noise_images: float | None
    joules_per_image: Mapping[int, float]  # by batch size, relative figures are enough
    joules_by_precision: Mapping[str, float]
    energy_kwh: float | None  # so far, of this fit
    emissions_g: float | None
    epoch_energy_kwh: float | None  # of the last epoch
    epoch_emissions_g: float | None
    spent_energy_kwh: float  # by stages before
    spent_emissions_g: float
    val_accuracies: tuple[float, ...] = ()

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Inputs":
        """As they were logged: JSON knows neither whole numbers as keys nor tuples."""
        joules = {int(size): each for size, each in content["joules_per_image"].items()}
        losses = tuple(content["val_losses"])
        accuracies = tuple(content["val_accuracies"])
        changed = {"joules_per_image": joules, "val_losses": losses, "val_accuracies": accuracies}
        return cls(**{**content, **changed})


@dataclass(frozen=True)
class Decision:
    knobs: Knobs
    reasons: tuple[str, ...]


def decide(
    inputs: Inputs, knobs: Knobs, base_size: int, weights: Weights, levers: Levers
) -> Decision:
    """The knobs of the next epoch, and why. Nothing is decided once the end is reached."""
    if inputs.epoch >= knobs.end:
        return Decision(knobs, ())
    reasons: list[str] = []
    knobs = _choose_batch(inputs, knobs, base_size, levers, reasons)
    if levers.land and not knobs.landed:
        knobs = _land_if_enough(inputs, knobs, weights, levers, reasons)
    knobs = _keep_budget(inputs, knobs, weights, levers, reasons)
    return Decision(knobs, tuple(reasons))


def _choose_batch(
    inputs: Inputs, knobs: Knobs, base_size: int, levers: Levers, reasons: list[str]
) -> Knobs:
    """Least joules per step of the base batch: goodput per joule, after Pollux (OSDI 2021)."""
    noise = inputs.noise_images
    if not levers.batch_sizes or noise is None:
        return knobs

    def cost(size: int) -> float:
        return inputs.joules_per_image[size] * size / gain(noise, size, base_size)

    known = [size for size in levers.batch_sizes if size in inputs.joules_per_image]
    best = min(known, key=cost, default=knobs.batch_size)
    size = knobs.batch_size
    if size not in inputs.joules_per_image or cost(best) <= CLEARLY * cost(size):
        if best != size:
            reasons.append(
                f"batch {size} -> {best}: {1 - cost(best) / cost(size):.0%} fewer joules per "
                f"useful step at a noise scale of {noise:.0f} images"
                if size in inputs.joules_per_image
                else f"batch {size} -> {best}"
            )
        size = best
    return replace(knobs, batch_size=size, gain=gain(noise, size, base_size))


def _land_if_enough(
    inputs: Inputs, knobs: Knobs, weights: Weights, levers: Levers, reasons: list[str]
) -> Knobs:
    """Let the learning rate fall to 0 soon when another epoch would cost more than it brings, or
    when the accuracy that is asked for is there."""
    losses, accuracies, target = inputs.val_losses, inputs.val_accuracies, levers.accuracy_target
    if target is not None and accuracies and accuracies[-1] >= target:
        return _landing(inputs, knobs, f"{accuracies[-1]:.4f} of validation is enough", reasons)
    known = inputs.epoch_energy_kwh is not None and inputs.epoch_emissions_g is not None
    if not known or len(losses) <= RECENT or inputs.epoch < levers.epochs_min:
        return knobs
    brings = weights.alpha * max(min(losses[:-RECENT]) - min(losses[-RECENT:]), 0.0) / RECENT
    costs = weights.cost(inputs.epoch_energy_kwh, inputs.epoch_emissions_g)  # type: ignore[arg-type]
    if brings >= costs:
        return knobs
    why = f"an epoch brings {brings:.4f} of the objective and costs {costs:.4f}"
    return _landing(inputs, knobs, why, reasons)


def _landing(inputs: Inputs, knobs: Knobs, why: str, reasons: list[str]) -> Knobs:
    left = knobs.end - inputs.epoch
    if left <= 1:
        return knobs
    end = inputs.epoch + min(max(LANDING * inputs.epoch, 1.0), left)
    reasons.append(f"landing at epoch {end:.1f} instead of {knobs.end:.1f}: {why}")
    return replace(_ending(inputs, knobs, end), landed=True)


def _keep_budget(
    inputs: Inputs, knobs: Knobs, weights: Weights, levers: Levers, reasons: list[str]
) -> Knobs:
    """Lower precision, then fewer channels, then an earlier end, as far as the projection needs."""
    excess = _projected_excess(inputs, knobs, weights)
    if excess <= 0:
        return knobs
    full, half = (inputs.joules_by_precision.get(name, inf) for name in ("fp32", "bf16"))
    if knobs.precision == "fp32" and half < full < inf:
        saved = 1 - half / full
        reasons.append(
            f"bf16: {excess:.0%} over budget by projection, a step costs {saved:.0%} less"
        )
        return replace(knobs, precision="bf16")
    if levers.compress and not knobs.pressed:
        reasons.append(f"channels leave: {excess:.0%} over budget by projection")
        return replace(knobs, pressed=True)
    end = inputs.epoch + _affordable_epochs(inputs, knobs, weights)
    reasons.append(
        f"end at epoch {end:.1f} instead of {knobs.end:.1f}: {excess:.0%} over budget by projection"
    )
    return replace(_ending(inputs, knobs, end), cut=True)


def _ending(inputs: Inputs, knobs: Knobs, end: float) -> Knobs:
    """A rate that falls already goes on from where it began to fall: it never rises again."""
    start = inputs.epoch if knobs.landing_from is None else knobs.landing_from
    return replace(knobs, end=end, landing_from=start)


def _projected_excess(inputs: Inputs, knobs: Knobs, weights: Weights) -> float:
    """By how much the nearer of both budgets would be passed at the end, as a share of it."""
    return max(
        (
            (spent + used + rate * (knobs.end - inputs.epoch)) / budget - 1
            for spent, used, rate, budget in _flows(inputs, weights)
        ),
        default=0.0,
    )


def _affordable_epochs(inputs: Inputs, knobs: Knobs, weights: Weights) -> float:
    """How many of the epochs that are left both budgets allow."""
    left = knobs.end - inputs.epoch
    for spent, used, rate, budget in _flows(inputs, weights):
        rest = max(budget - spent - used, 0.0)
        if rest < rate * left:
            left = rest / rate
        elif rest == 0:
            left = 0.0
    return left


def _flows(inputs: Inputs, weights: Weights) -> list[tuple[float, float, float, float]]:
    """(spent before, used so far, used per epoch, budget) of energy and emissions where known."""
    rows = (
        (inputs.spent_energy_kwh, inputs.energy_kwh, inputs.epoch_energy_kwh, weights.energy_kwh),
        (
            inputs.spent_emissions_g,
            inputs.emissions_g,
            inputs.epoch_emissions_g,
            weights.emissions_g,
        ),
    )
    return [
        (spent, used, rate, budget)
        for spent, used, rate, budget in rows
        if used is not None and rate is not None and budget > 0
    ]
