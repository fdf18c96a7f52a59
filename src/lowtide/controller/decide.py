"""What the next interval of training is run with: the knobs that minimise one scalar.

L = alpha L_accuracy + beta E / E_budget + gamma C / C_budget, predicted to the end. Knobs that are
held to leave the accuracy term as it is (a batch by its gain, an image that grows) take the least
joules, since E and C both rise with them; where beta and gamma are 0 they stay. An earlier end
trades one term for the others. Budgets are limits, and come last.

A pure function of what was measured: the same inputs give the same knobs, so that a log can be
replayed. The level (power, pauses) is the plan's, which minimises C alone.
"""

from dataclasses import replace

from lowtide.controller.image_size import image_scale
from lowtide.controller.knobs import Decision, Inputs, Knobs, Levers, Weights, ending
from lowtide.controller.noise import gain
from lowtide.controller.projection import keep_budget

CLEARLY = 0.97  # a batch size is changed for one that costs at most this share
LANDING = 0.4  # epochs that a landing takes, for each epoch that is done
RECENT = 2  # epochs over which the gain of another one is judged
SMALLER = 0.9  # small images are taken if one costs at most this share of a whole one


def decide(
    inputs: Inputs, knobs: Knobs, base_size: int, weights: Weights, levers: Levers
) -> Decision:
    """The knobs of the next epoch, and why. Nothing is decided once the end is reached."""
    if inputs.epoch >= knobs.end:
        return Decision(knobs, ())
    reasons: list[str] = []
    if weights.beta or weights.gamma:
        knobs = _choose_batch(inputs, knobs, base_size, levers, reasons)
        knobs = _choose_image_scale(inputs, knobs, levers, reasons)
    knobs = _give_up_trying(inputs, knobs, base_size, levers, reasons)
    if levers.land and not knobs.landed:
        knobs = _land_if_enough(inputs, knobs, weights, levers, reasons)
    knobs = keep_budget(inputs, knobs, weights, levers, reasons)
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


def _give_up_trying(
    inputs: Inputs, knobs: Knobs, base_size: int, levers: Levers, reasons: list[str]
) -> Knobs:
    """A batch size that is hopeless is left for the one that cost least in former runs.

    The learning rate goes with the batch size (linear scaling: Goyal et al., 2017).
    """
    trying, used = levers.trying, inputs.active_energy_kwh
    if trying is None or trying.limit_kwh is None or used is None or used < trying.limit_kwh:
        return knobs
    if knobs.batch_size != trying.batch_size or trying.instead == trying.batch_size:
        return knobs
    reasons.append(
        f"batch {trying.batch_size} -> {trying.instead}: it has cost {used:.3g} kWh, more than is "
        "worth trying"
    )
    return replace(knobs, batch_size=trying.instead, gain=trying.instead / base_size)


def _choose_image_scale(inputs: Inputs, knobs: Knobs, levers: Levers, reasons: list[str]) -> Knobs:
    """Once, at the start: small images that grow, where they are measured to pay."""
    cost = inputs.small_image_cost
    if inputs.epoch > 0 or cost is None or levers.image_scale == knobs.image_scale:
        return knobs
    if cost > SMALLER:
        reasons.append(f"images keep their size: small ones cost {cost:.0%} of a whole one")
        return knobs
    reasons.append(
        f"images grow from {levers.image_scale:.0%} of their side: the smallest cost {cost:.0%}"
    )
    return replace(knobs, image_scale=levers.image_scale)


def _land_if_enough(
    inputs: Inputs, knobs: Knobs, weights: Weights, levers: Levers, reasons: list[str]
) -> Knobs:
    """Let the learning rate fall to 0 soon when another epoch would cost more than it brings, or
    when the accuracy that is asked for is there."""
    losses, accuracies, target = inputs.val_losses, inputs.val_accuracies, levers.accuracy_target
    if target is not None and accuracies and accuracies[-1] >= target:
        return _landing(inputs, knobs, f"{accuracies[-1]:.4f} of validation is enough", reasons)
    known = inputs.epoch_energy_kwh is not None and inputs.epoch_emissions_g is not None
    growing = image_scale(inputs.epoch, knobs.end, knobs.image_scale) < 1
    early = growing or len(losses) <= RECENT or inputs.epoch < levers.epochs_min
    if not known or early:
        return knobs
    brings = weights.alpha * max(min(losses[:-RECENT]) - min(losses[-RECENT:]), 0.0) / RECENT
    costs = weights.cost(inputs.epoch_energy_kwh, inputs.epoch_emissions_g)  # type: ignore[arg-type]
    if brings >= costs:
        return knobs
    why = f"an epoch brings {brings:.2g} of the objective and costs {costs:.2g}"
    return _landing(inputs, knobs, why, reasons)


def _landing(inputs: Inputs, knobs: Knobs, why: str, reasons: list[str]) -> Knobs:
    left = knobs.end - inputs.epoch
    if left <= 1:
        return knobs
    end = inputs.epoch + min(max(LANDING * inputs.epoch, 1.0), left)
    reasons.append(f"landing at epoch {end:.1f} instead of {knobs.end:.1f}: {why}")
    return replace(ending(inputs, knobs, end), landed=True)
