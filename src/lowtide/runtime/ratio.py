"""How many times less one model takes than another, turn by turn, so that drift cancels."""

from collections.abc import Sequence
from dataclasses import dataclass

from lowtide.runtime.probe import Turns, spread


@dataclass(frozen=True)
class Ratio:
    """The reference's figure over the model's: above 1 the model takes less.

    The median over pairs of turns that were taken one after the other; 5th to 95th percentile.
    """

    median: float
    low: float
    high: float


def time_ratio(reference: Turns, model: Turns) -> Ratio:
    return _ratio(reference.seconds_per_image, model.seconds_per_image)


def latency_ratio(reference: Turns, model: Turns) -> Ratio:
    """Of single images: the k-th call of a turn against the reference's k-th call of that turn."""
    return _ratio(reference.latencies_s, model.latencies_s)


def energy_ratio(reference: Turns, model: Turns) -> Ratio | None:
    """None where a turn's joules are unknown, or none were counted in it."""
    ours = [joules for joules in model.joules_per_image if joules]
    theirs = [joules for joules in reference.joules_per_image if joules is not None]
    if min(len(ours), len(theirs)) < len(model.joules_per_image):
        return None
    return _ratio(theirs, ours)


def times_less(reference: Turns, model: Turns) -> float:
    """By joules, or by time where those are unknown."""
    energy = energy_ratio(reference, model)
    return time_ratio(reference, model).median if energy is None else energy.median


def _ratio(reference: Sequence[float], model: Sequence[float]) -> Ratio:
    low, median, high = spread([a / b for a, b in zip(reference, model, strict=True)])
    return Ratio(median, low, high)
