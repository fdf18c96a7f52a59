"""What an interval of training is run with, and what that is decided from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

Precision = Literal["fp32", "bf16"]
WARMUP = 0.2  # share of a cycle over which the rate rises


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
class Trying:
    """A batch size that this run of a recurring job tries, and the one to go on with instead once
    it has cost `limit_kwh`; None: whatever it costs."""

    batch_size: int
    instead: int
    limit_kwh: float | None


@dataclass(frozen=True)
class Levers:
    """What the controller may move."""

    batch_sizes: tuple[int, ...]  # empty: the batch stays
    land: bool
    epochs_min: int
    compress: bool  # channels may leave
    accuracy_target: float | None = None  # of validation; enough
    image_scale: float = 1.0  # of the side of the first images
    trying: Trying | None = None


@dataclass(frozen=True)
class Knobs:
    """What an interval is run with. Epochs are counted in steps of the base batch (`gain`)."""

    batch_size: int
    precision: Precision
    gain: float = 1.0
    end: float = 0.0  # epoch at which training ends
    cycle: float | None = None  # epochs of the cycle that the rate follows; None: the recipe's
    landing_from: float | None = None  # where the rate leaves its cycle, to be 0 at the end
    cut: bool = False  # by a budget: what is kept in the end is the best epoch
    landed: bool = False  # since another epoch is not worth it
    rate_factor: float = 1.0  # after a loss that was not finite
    pressed: bool = False  # channels that are nearly closed leave, too
    image_scale: float = 1.0  # of the side at epoch 0; it grows from there


@dataclass(frozen=True)
class Inputs:
    """What was measured up to the start of an interval."""

    epoch: float
    val_losses: tuple[float, ...]  # as `told`
    noise_images: float | None
    joules_per_image: Mapping[int, float]  # by batch size, relative figures are enough
    joules_by_precision: Mapping[str, float]
    energy_kwh: float | None  # so far, of this fit, waits included
    emissions_g: float | None
    epoch_energy_kwh: float | None  # of the last epoch, without waits
    epoch_emissions_g: float | None
    spent_energy_kwh: float | None  # by stages before
    spent_emissions_g: float | None
    val_accuracies: tuple[float, ...] = ()  # the last one
    small_image_cost: float | None = None  # joules of the smallest image over those of a whole one
    active_energy_kwh: float | None = None  # so far, of this fit, without waits

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


def told(losses: Iterable[float]) -> tuple[float, ...]:
    """The last losses, and the least of those before: as much of them as decisions depend on."""
    *before, last, newest = (inf, inf, *losses)
    return tuple(loss for loss in (min(before, default=inf), last, newest) if loss < inf)


def ending(inputs: Inputs, knobs: Knobs, end: float) -> Knobs:
    """A rate that falls already goes on from where it began to fall: it never rises again."""
    start = inputs.epoch if knobs.landing_from is None else knobs.landing_from
    return replace(knobs, end=end, landing_from=start)


def cut_short(inputs: Inputs, knobs: Knobs, end: float) -> Knobs:
    """An earlier end for the budget's sake, with as much of the cycle as it leaves.

    As long as the rate would still rise, a shorter cycle takes the place of the longer one.
    """
    knobs = replace(knobs, cut=True)
    if knobs.landing_from is None and inputs.epoch < WARMUP * end:
        return replace(knobs, end=end, cycle=end)
    return ending(inputs, knobs, end)
