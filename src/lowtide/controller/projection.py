"""What training will have cost at its end, and what gives way where that is over a budget."""

from dataclasses import replace
from math import inf

from lowtide.controller.image_size import pixel_share
from lowtide.controller.knobs import Inputs, Knobs, Levers, Weights, ending


def keep_budget(
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
    return replace(ending(inputs, knobs, end), cut=True)


def _projected_excess(inputs: Inputs, knobs: Knobs, weights: Weights) -> float:
    """By how much the nearer of both budgets would be passed at the end, as a share of it."""
    left = (knobs.end - inputs.epoch) * _pixels_left(inputs, knobs)
    return max(
        (
            (spent + used + rate * left) / budget - 1
            for spent, used, rate, budget in _flows(inputs, weights)
        ),
        default=0.0,
    )


def _affordable_epochs(inputs: Inputs, knobs: Knobs, weights: Weights) -> float:
    """How many of the epochs that are left both budgets allow, at full image size."""
    left = knobs.end - inputs.epoch
    for spent, used, last, budget in _flows(inputs, weights):
        rest, rate = max(budget - spent - used, 0.0), last / _pixels_of_last(inputs, knobs)
        if rest < rate * left:
            left = rest / rate
        elif rest == 0:
            left = 0.0
    return left


def _pixels_left(inputs: Inputs, knobs: Knobs) -> float:
    """Pixels of an epoch of those left, over those of the last one: images may still grow."""
    return _pixels(inputs.epoch, knobs.end, knobs) / _pixels_of_last(inputs, knobs)


def _pixels_of_last(inputs: Inputs, knobs: Knobs) -> float:
    """Share of the whole image that the last epoch was trained on."""
    return _pixels(max(inputs.epoch - 1.0, 0.0), inputs.epoch, knobs)


def _pixels(begin: float, until: float, knobs: Knobs) -> float:
    """Share of the whole image between two epochs: all of it where the rate lands."""
    if knobs.landing_from is not None:
        return 1.0
    return pixel_share(begin, until, knobs.end, knobs.image_scale)


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
