"""What training will have cost at its end, and what gives way where that is over a budget."""

from dataclasses import replace
from math import inf

from lowtide.controller.image_size import pixel_share
from lowtide.controller.knobs import Inputs, Knobs, Levers, Weights, cut_short

TOLERATED = 0.05  # of a budget, at the start, and less as less is left: epochs differ by as much


def keep_budget(
    inputs: Inputs, knobs: Knobs, weights: Weights, levers: Levers, reasons: list[str]
) -> Knobs:
    """Lower precision, then fewer channels, then an earlier end, as far as the projection needs."""
    excess = _excess(inputs, knobs, weights, knobs.end)
    if excess <= TOLERATED * (1 - inputs.epoch / knobs.end):
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
    end = _affordable_end(inputs, knobs, weights)
    reasons.append(
        f"end at epoch {end:.1f} instead of {knobs.end:.1f}: {excess:.0%} over budget by projection"
    )
    return cut_short(inputs, knobs, end)


def _excess(inputs: Inputs, knobs: Knobs, weights: Weights, end: float) -> float:
    """By how much the nearer of both budgets would be passed at that end, as a share of it."""
    left = (end - inputs.epoch) * _pixels_left(inputs, knobs, end)
    return max(
        (
            (spent + used + rate * left) / budget - 1
            for spent, used, rate, budget in _flows(inputs, weights)
        ),
        default=0.0,
    )


def _affordable_end(inputs: Inputs, knobs: Knobs, weights: Weights) -> float:
    """The latest that passes no budget; now, where one is used up."""
    from scipy.optimize import brentq

    def excess(end: float) -> float:
        return _excess(inputs, knobs, weights, end)

    if excess(inputs.epoch) >= 0:
        return inputs.epoch
    return float(brentq(excess, inputs.epoch, knobs.end))


def _pixels_left(inputs: Inputs, knobs: Knobs, end: float) -> float:
    """Pixels of an epoch of those left, over those of the last one: images may still grow, and
    grow faster towards an earlier end."""
    last = _pixels(max(inputs.epoch - 1.0, 0.0), inputs.epoch, knobs, knobs.end)
    return _pixels(inputs.epoch, end, knobs, end) / last


def _pixels(begin: float, until: float, knobs: Knobs, end: float) -> float:
    """Mean share of the whole image between two epochs: all of it once the training lands."""
    return 1.0 if knobs.landed else pixel_share(begin, until, end, knobs.image_scale)


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
        if spent is not None and used is not None and rate is not None and budget > 0
    ]
