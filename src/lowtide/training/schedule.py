"""Learning rate and image size over epochs: one triangular cycle, which may be cut short.

Leslie Smith, "Super-Convergence" (2018): up over the first fifth, then down to 0. A landing leaves
the cycle where it is and goes down to 0 on a shorter way.
"""

from lowtide.controller import image_size
from lowtide.controller.knobs import WARMUP, Knobs
from lowtide.params import FitParams


def learning_rate(epoch: float, recipe: FitParams, knobs: Knobs) -> float:
    """At an epoch in whole and part, scaled to the batch by its gain (AdaScale)."""
    peak = recipe.learning_rate * knobs.gain * knobs.rate_factor
    start = knobs.landing_from
    if start is None or epoch <= start:
        return peak * _share(epoch, recipe, knobs)
    left = (knobs.end - epoch) / max(knobs.end - start, 1e-9)
    return peak * _share(start, recipe, knobs) * max(left, 0.0)


def image_side(epoch: float, full: int, knobs: Knobs) -> int:
    """Pixels of the shorter side of an image of `full`: grown once the training lands."""
    if knobs.image_scale == 1.0 or knobs.landed:
        return full
    return image_size.image_side(full, image_size.image_scale(epoch, knobs.end, knobs.image_scale))


def _share(epoch: float, recipe: FitParams, knobs: Knobs) -> float:
    """Of the peak, as long as nothing lands."""
    if recipe.schedule == "constant":
        return 1.0
    progress = epoch / (knobs.cycle or recipe.epochs)
    return max(min(progress / WARMUP, (1 - progress) / (1 - WARMUP)), 0.0)
